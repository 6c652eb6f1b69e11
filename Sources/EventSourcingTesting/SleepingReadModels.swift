import EventSourcing
import Synchronization

/// A store as a process sees it that falls asleep when it is about to write rows.
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
  /// Writes that were refused since the lease may have been lost.
  var refusals: Int { state.withLock(\.refusals) }

  func wake() {
    let waiting = state.withLock { state in
      state.isAwake = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    await sleep()
    do {
      try await base.write(rows, to: collection, before: deadline)
    } catch is LeaseLost {
      state.withLock { $0.refusals += 1 }
      throw LeaseLost()
    }
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
