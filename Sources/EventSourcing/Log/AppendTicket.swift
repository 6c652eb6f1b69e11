import Synchronization

/// The outcome of an append that has its place in the queue.
///
/// A decision may be built on a queued append before it is durable; whoever does so names the
/// ticket in ``ProposedCommit/builtOn`` and answers nobody before ``outcome()`` is known.
public final class AppendTicket: Sendable {
  public typealias Outcome = Result<Appended, any Error>

  /// What the current task appends by ``CommandHandler`` is built on this one: it stands behind it in
  /// the log, or nowhere.
  @TaskLocal public static var preceding: AppendTicket?

  /// How far the append has come.
  package enum Standing {
    case queued
    /// Numbered by the log and on its way; `series` is the log's own mark for what stands or falls
    /// together.
    case numbered(series: Int)
    case settled(Outcome)
  }

  private struct State {
    var standing = Standing.queued
    var isBackground = false
    var firstWaiter: UnsafeContinuation<Outcome, Never>?
    var furtherWaiters: [UnsafeContinuation<Outcome, Never>] = []
  }

  private let state = Mutex(State())

  public init() {}

  package var standing: Standing { state.withLock { $0.standing } }

  /// Whether it waits in the line of background work.
  package var isBackground: Bool {
    state.withLock { state in
      if case .queued = state.standing { state.isBackground } else { false }
    }
  }

  package func markBackground() { state.withLock { $0.isBackground = true } }

  /// Nil while the append is queued or in flight.
  public var settled: Outcome? {
    if case .settled(let outcome) = standing { outcome } else { nil }
  }

  /// Whether nothing can be built on it any more.
  public var hasFailed: Bool { settled.map { !$0.isFirst } ?? false }

  /// Waits until the append is durable or has failed.
  public func outcome() async -> Outcome {
    // Unsafe only in that it does not check what `settle` keeps: each waiter is resumed once.
    await withUnsafeContinuation { waiter in
      let settled: Outcome? = state.withLock { state in
        if case .settled(let outcome) = state.standing { return outcome }
        if state.firstWaiter == nil {
          state.firstWaiter = waiter
        } else {
          state.furtherWaiters.append(waiter)
        }
        return nil
      }
      if let settled { waiter.resume(returning: settled) }
    }
  }

  public func value() async throws -> Appended { try await outcome().get() }

  /// Called by the log when the append gets its number, again when it gets another one.
  package func number(inSeries series: Int) {
    state.withLock { state in
      if case .settled = state.standing { return }
      state.standing = .numbered(series: series)
    }
  }

  /// Called once, by the log.
  public func settle(_ outcome: Outcome) {
    let waiting: State? = state.withLock { state in
      if case .settled = state.standing { return nil }
      let waiting = state
      state = State(standing: .settled(outcome))
      return waiting
    }
    waiting?.firstWaiter?.resume(returning: outcome)
    for waiter in waiting?.furtherWaiters ?? [] { waiter.resume(returning: outcome) }
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
