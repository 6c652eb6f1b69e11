import Synchronization

/// Wakes readers when the log has grown. It says "look", it carries no data, and losing a ring
/// costs a reader no more than its timeout.
///
/// A dozen readers wait a thousand times a second and are woken almost always: one timer serves all.
public final class Doorbell: Sendable {
  private struct Waiter {
    var after: Position
    var continuation: CheckedContinuation<Void, Never>
    var deadline: ContinuousClock.Instant
  }

  private struct State {
    var head = Position.start
    var watchedUntil: ContinuousClock.Instant?
    var waiting: [Int: Waiter] = [:]
    var nextID = 0
    /// When the timer looks for those whose time is over; nil: it does not run.
    var nextLook: ContinuousClock.Instant?
    var timer: Task<Void, Never>?
  }

  private let state = Mutex(State())

  public init() {}

  deinit { state.withLock { $0.timer?.cancel() } }

  /// The highest position that was rung.
  public var head: Position { state.withLock(\.head) }

  /// Whether whatever is appended anywhere is rung here within moments, see ``watch(for:)``.
  public var isWatched: Bool {
    state.withLock { state in state.watchedUntil.map { .now < $0 } ?? false }
  }

  /// Said by whoever watches the log: everything that was appended by now has been rung, and what
  /// is appended within the time that is coming will be. Nil: nobody watches any longer.
  public func watch(for duration: Duration?) {
    state.withLock { $0.watchedUntil = duration.map { .now + $0 } }
  }

  /// Wakes those who wait for something up to `position`, and none who have read it already.
  public func ring(_ position: Position) {
    let woken = state.withLock { state in
      state.head = max(state.head, position)
      var woken: [Waiter] = []
      for (id, waiter) in state.waiting where waiter.after < state.head {
        woken.append(waiter)
        state.waiting[id] = nil
      }
      return woken
    }
    for waiter in woken { waiter.continuation.resume() }
  }

  /// Returns when a position after `position` was rung, or after `timeout`, or when cancelled.
  public func wait(after position: Position, timeout: Duration) async {
    let id: Int? = state.withLock { state in
      guard state.head <= position else { return nil }
      state.nextID += 1
      return state.nextID
    }
    guard let id else { return }
    let deadline = ContinuousClock.now + timeout
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let mustWait = state.withLock { state in
          guard state.head <= position, !Task.isCancelled else { return false }
          state.waiting[id] = Waiter(
            after: position, continuation: continuation, deadline: deadline)
          if state.nextLook.map({ deadline < $0 }) ?? true { startTimer(at: deadline, &state) }
          return true
        }
        guard mustWait else { return continuation.resume() }
        // Cancelled in between: the handler below found nobody.
        if Task.isCancelled { release(id) }
      }
    } onCancel: {
      release(id)
    }
  }

  private func startTimer(at deadline: ContinuousClock.Instant, _ state: inout State) {
    state.timer?.cancel()
    state.nextLook = deadline
    state.timer = Task { [weak self] in
      var next = deadline
      while true {
        do { try await Task.sleep(until: next, clock: .continuous) } catch { return }
        guard let later = self?.look() else { return }
        next = later
      }
    }
  }

  /// Lets those go whose time is over; answers when to look again, nil when nobody waits or
  /// another timer does it.
  private func look() -> ContinuousClock.Instant? {
    var released: [CheckedContinuation<Void, Never>] = []
    let next: ContinuousClock.Instant? = state.withLock { state in
      // Cancelled under the lock: another one has begun.
      if Task.isCancelled { return nil }
      let now = ContinuousClock.now
      for (id, waiter) in state.waiting where waiter.deadline <= now {
        state.waiting[id] = nil
        released.append(waiter.continuation)
      }
      state.nextLook = state.waiting.values.map(\.deadline).min()
      return state.nextLook
    }
    for continuation in released { continuation.resume() }
    return next
  }

  private func release(_ id: Int) {
    state.withLock { $0.waiting.removeValue(forKey: id) }?.continuation.resume()
  }
}
