import Synchronization

/// Wakes readers when the log has grown. It says "look", it carries no data, and losing a ring
/// costs a reader no more than its timeout.
public final class Doorbell: Sendable {
  private struct State {
    var head = Position.start
    var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    var nextID = 0
  }

  private let state = Mutex(State())

  public init() {}

  /// The highest position that was rung.
  public var head: Position { state.withLock(\.head) }

  public func ring(_ position: Position) {
    let woken = state.withLock { state in
      state.head = max(state.head, position)
      let woken = Array(state.waiting.values)
      state.waiting.removeAll()
      return woken
    }
    for continuation in woken { continuation.resume() }
  }

  /// Returns when a position after `position` was rung, or after `timeout`, or when cancelled.
  public func wait(after position: Position, timeout: Duration) async {
    let id: Int? = state.withLock { state in
      guard state.head <= position else { return nil }
      state.nextID += 1
      return state.nextID
    }
    guard let id else { return }
    // The timer starts when the waiter is in its place: fired earlier, it would release nobody.
    let timer = Mutex<Task<Void, any Error>?>(nil)
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let mustWait = state.withLock { state in
          guard state.head <= position, !Task.isCancelled else { return false }
          state.waiting[id] = continuation
          return true
        }
        guard mustWait else { return continuation.resume() }
        timer.withLock {
          $0 = Task {
            try await Task.sleep(for: timeout)
            self.release(id)
          }
        }
        // Cancelled in between: the handler below found nobody.
        if Task.isCancelled { release(id) }
      }
    } onCancel: {
      release(id)
    }
    timer.withLock { $0?.cancel() }
  }

  private func release(_ id: Int) {
    state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
  }
}
