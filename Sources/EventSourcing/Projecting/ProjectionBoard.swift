import Synchronization

/// Where the projections driven in this process stand, for queries that wait for a position, for
/// readiness and for metrics.
public final class ProjectionBoard: Sendable {
  public struct Status: Sendable {
    public var progress: ProjectionProgress
    /// Why it does not move, if it does not.
    public var failure: String?
    /// When it last reported, whether or not there was an event.
    public var reported: ContinuousClock.Instant
  }

  private struct State {
    var statuses: [String: Status] = [:]
    var waiting:
      [String: [Int: (position: Position, continuation: CheckedContinuation<Void, Never>)]] =
        [:]
    var nextID = 0
  }

  private let state = Mutex(State())

  public init() {}

  public func publish(_ progress: ProjectionProgress) {
    let reached: [CheckedContinuation<Void, Never>] = state.withLock { state in
      state.statuses[progress.projection] = Status(
        progress: progress, failure: progress.failure, reported: .now)
      guard let waiting = state.waiting[progress.projection], !waiting.isEmpty else { return [] }
      let ready = waiting.filter { $0.value.position <= progress.position }
      for id in ready.keys { state.waiting[progress.projection]?[id] = nil }
      return ready.values.map(\.continuation)
    }
    for continuation in reached { continuation.resume() }
  }

  public func report(_ projection: String, failure: String) {
    state.withLock { $0.statuses[projection]?.failure = failure }
  }

  public func status(of projection: String) -> Status? {
    state.withLock { $0.statuses[projection] }
  }

  public var statuses: [Status] {
    state.withLock { $0.statuses.values.sorted { $0.progress.projection < $1.progress.projection } }
  }

  /// Returns when the projection has reached `position` in this process, or after `timeout`.
  public func wait(for projection: String, position: Position, timeout: Duration) async {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    // The timer starts when the waiter is in its place: fired earlier, it would release nobody.
    let timer = Mutex<Task<Void, any Error>?>(nil)
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let mustWait = state.withLock { state in
          if let status = state.statuses[projection], status.progress.position >= position {
            return false
          }
          state.waiting[projection, default: [:]][id] = (position, continuation)
          return true
        }
        guard mustWait else { return continuation.resume() }
        timer.withLock {
          $0 = Task {
            try await Task.sleep(for: timeout)
            self.release(projection, id)
          }
        }
        // Cancelled in between: the handler below found nobody.
        if Task.isCancelled { release(projection, id) }
      }
    } onCancel: {
      release(projection, id)
    }
    timer.withLock { $0?.cancel() }
  }

  /// The projection is no longer driven in this process.
  public func remove(_ projection: String) {
    let waiting = state.withLock { state in
      state.statuses[projection] = nil
      return state.waiting.removeValue(forKey: projection) ?? [:]
    }
    for waiter in waiting.values { waiter.continuation.resume() }
  }

  private func release(_ projection: String, _ id: Int) {
    let continuation = state.withLock {
      $0.waiting[projection]?.removeValue(forKey: id)?.continuation
    }
    continuation?.resume()
  }
}
