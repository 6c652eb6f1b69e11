import Synchronization

/// The outcome of an append that has its place in the queue.
///
/// A decision may be built on a queued append before it is durable; whoever does so names the
/// ticket in ``ProposedCommit/builtOn`` and answers nobody before ``outcome()`` is known.
public final class AppendTicket: Sendable {
  public typealias Outcome = Result<Appended, any Error>

  private enum State {
    case queued([CheckedContinuation<Outcome, Never>])
    case settled(Outcome)
  }

  private let state = Mutex(State.queued([]))

  public init() {}

  /// Nil while the append is queued or in flight.
  public var settled: Outcome? {
    state.withLock { if case .settled(let outcome) = $0 { outcome } else { nil } }
  }

  /// Waits until the append is durable or has failed.
  public func outcome() async -> Outcome {
    if let settled { return settled }
    return await withCheckedContinuation { continuation in
      let settled: Outcome? = state.withLock { state in
        switch state {
        case .settled(let outcome): return outcome
        case .queued(var waiting):
          waiting.append(continuation)
          state = .queued(waiting)
          return nil
        }
      }
      if let settled { continuation.resume(returning: settled) }
    }
  }

  public func value() async throws -> Appended { try await outcome().get() }

  /// Called once, by the log.
  public func settle(_ outcome: Outcome) {
    let waiting: [CheckedContinuation<Outcome, Never>] = state.withLock { state in
      guard case .queued(let waiting) = state else { return [] }
      state = .settled(outcome)
      return waiting
    }
    for continuation in waiting { continuation.resume(returning: outcome) }
  }
}

/// A commit that is durable.
public struct Appended: Sendable {
  public var commit: RecordedCommit
  /// True when an earlier append of the same command id wrote it.
  public var isRepeated: Bool

  public init(commit: RecordedCommit, isRepeated: Bool) {
    self.commit = commit
    self.isRepeated = isRepeated
  }

  /// The position of the commit's last event: what a reader waits for to see all of it.
  public var position: Position { commit.header.lastPosition }
}

extension AppendTicket.Outcome {
  /// Whether this very append wrote its events: not a failure, not an earlier one of the same id.
  public var isFirst: Bool {
    if case .success(let appended) = self { !appended.isRepeated } else { false }
  }
}
