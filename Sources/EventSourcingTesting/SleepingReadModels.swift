import EventSourcing
import Synchronization

/// A store as a process sees it that falls asleep when it is about to commit rows.
final class SleepingReadModels: ForwardingReadModels {
  private struct State {
    var isAwake = false
    var isAsleep = false
    var refusals = 0
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  let base: any ReadModelStore
  private let state = Mutex(State())

  init(_ base: any ReadModelStore) { self.base = base }

  var isAsleep: Bool { state.withLock(\.isAsleep) }
  /// Commits that were refused since the lease was lost.
  var refusals: Int { state.withLock(\.refusals) }

  func wake() {
    let waiting = state.withLock { state in
      state.isAwake = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func commit(
    _ rows: [StoredRow], _ progress: ProjectionProgress, holding lease: Lease,
    for duration: Duration
  ) async throws -> Bool {
    if !rows.isEmpty { await sleep() }
    let isDone = try await base.commit(rows, progress, holding: lease, for: duration)
    if !isDone { state.withLock { $0.refusals += 1 } }
    return isDone
  }

  private func sleep() async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let isAwake = state.withLock { state in
        state.isAsleep = true
        if !state.isAwake { state.waiting.append(continuation) }
        return state.isAwake
      }
      if isAwake { continuation.resume() }
    }
  }
}
