import Synchronization

/// Loads, decides, appends: the only way from a command to the log.
///
/// Decisions on one stream pipeline: each is made on the state after the appends that this process
/// has queued, not only on what is durable. Nothing is answered before it is durable, a refusal
/// is answered only on a state that was confirmed, and when an append fails, what was built on
/// it is decided again.
public final class CommandHandler<D: Decider>: Sendable {
  /// What a command did.
  public struct Outcome: Sendable {
    /// Nil when the command had been done already and left no event.
    public var commit: RecordedCommit?
    /// True when an earlier command of the same id did it.
    public var isRepeated: Bool

    public var events: [Recorded] { commit?.events ?? [] }
    public var position: Position? { commit?.header.lastPosition }
  }

  /// The states that a decision reads, by aggregate id.
  public typealias States = [String: D.State]
  /// The events that a decision writes, by aggregate id, in order.
  public typealias Decisions = [(id: String, events: [D.Event])]

  private struct Entry {
    var state: D.State
    var version: Version
    /// The last queued append that the state contains; nil when all of it is durable.
    var pending: AppendTicket?
  }

  private struct Cache {
    var entries: RecencyCache<StreamName, Entry>
    /// Streams that are being read; true when one was forgotten meanwhile, so that what was read may
    /// be older than what has been confirmed since.
    var loading: [StreamName: (readers: Int, isStale: Bool)] = [:]

    subscript(stream: StreamName) -> Entry? {
      mutating get { entries[stream] }
      set { entries[stream] = newValue }
    }
  }

  private struct Attempt {
    enum Result {
      case missing([String])
      case queued(AppendTicket)
      case nothing
      case refused(any Error)
    }
    var result: Result
    var waitsFor: [AppendTicket] = []
    var versions: [String: Version] = [:]
  }

  private let log: any EventLog
  private let maximumAttempts: Int
  private let cache: Mutex<Cache>

  /// - Parameter cachedStreamsMax: streams whose state is kept in memory.
  public init(log: any EventLog, maximumAttempts: Int = 50, cachedStreamsMax: Int = 50_000) {
    self.log = log
    self.maximumAttempts = maximumAttempts
    self.cache = Mutex(Cache(entries: RecencyCache(capacity: cachedStreamsMax)))
  }

  /// Does one command on one aggregate.
  /// - Throws: the decider's rejection, ``AppendConflict`` after too many lost races,
  ///   ``CommandIDReused``, ``AppendFailure``.
  @discardableResult
  public func handle(
    _ command: D.Command, on id: String, context: CommitContext,
    expected: ExpectedVersion = .any, reads: [StreamName: ExpectedVersion] = [:]
  ) async throws -> Outcome {
    try await transact(on: [id], context: context, expected: [id: expected], reads: reads) {
      states in
      [(id: id, events: try D.decide(command, states[id] ?? D.initial))]
    }
  }

  /// Decides over several aggregates at once; their events land in one commit or not at all.
  ///
  /// `decide` is pure and may be called several times. `expected` are the caller's own demands on
  /// versions (a mismatch throws ``AppendConflict`` and is not tried again); `reads` are streams
  /// of other aggregates that the decision was built on.
  @discardableResult
  public func transact(
    on ids: [String], context: CommitContext, expected: [String: ExpectedVersion] = [:],
    reads: [StreamName: ExpectedVersion] = [:],
    decide: @Sendable (States) throws -> Decisions
  ) async throws -> Outcome {
    var attempts = 0
    while true {
      attempts += 1
      let attempt = attemptOnce(
        on: ids, context: context, expected: expected, reads: reads, decide: decide)
      switch attempt.result {
      case .missing(let missing):
        attempts -= 1
        for id in missing { try await load(id) }

      case .queued(let ticket):
        switch await ticket.outcome() {
        case .success(let appended):
          if appended.isRepeated { forget(ids) }
          return Outcome(commit: appended.commit, isRepeated: appended.isRepeated)
        case .failure(let error):
          forget(ids)
          guard let conflict = error as? AppendConflict, reads[conflict.stream] == nil,
            attempts < maximumAttempts
          else { throw error }
        }

      case .nothing, .refused:
        // Built on appends that may still fail, or on a state that another process has moved on.
        guard await isConfirmed(attempt) else {
          guard attempts < maximumAttempts else {
            throw AppendFailure.notDone("the aggregate is too busy")
          }
          forget(ids)
          continue
        }
        if let earlier = try await log.commit(of: context.commandID) {
          try Self.check(earlier, against: context)
          return Outcome(commit: earlier, isRepeated: true)
        }
        if case .refused(let rejection) = attempt.result { throw rejection }
        return Outcome(commit: nil, isRepeated: false)
      }
    }
  }

  /// The state and version of an aggregate: at least what this process wrote and had confirmed
  /// before the call. Name the version in `reads` of the decision that uses it.
  public func state(of id: String) async throws -> (state: D.State, version: Version) {
    while true {
      let entry = cache.withLock { $0[D.stream(id)] }
      guard let entry else {
        try await load(id)
        continue
      }
      guard let pending = entry.pending else {
        // "There is none" is kept for nobody: another process may have begun the stream since.
        if entry.version == .none, try await log.version(of: D.stream(id)) > .none {
          forget([id])
          continue
        }
        return (entry.state, entry.version)
      }
      if await pending.outcome().isFirst { return (entry.state, entry.version) }
      forget([id])
    }
  }

  /// Drops the cached state, so that the next decision reads the stream again.
  public func forget(_ ids: [String]) {
    cache.withLock { cache in
      for id in ids {
        let stream = D.stream(id)
        cache[stream] = nil
        cache.loading[stream]?.isStale = true
      }
    }
  }

  private static func check(_ commit: RecordedCommit, against context: CommitContext) throws {
    if let old = commit.header.context.fingerprint, let new = context.fingerprint, old != new {
      throw CommandIDReused(commandID: context.commandID)
    }
  }

  /// One decision under the lock: the order of decisions is the order of the queue.
  private func attemptOnce(
    on ids: [String], context: CommitContext, expected: [String: ExpectedVersion],
    reads: [StreamName: ExpectedVersion], decide: (States) throws -> Decisions
  ) -> Attempt {
    cache.withLock { cache in
      var entries: [String: Entry] = [:]
      var missing: [String] = []
      for id in ids {
        if let entry = cache[D.stream(id)] {
          entries[id] = entry
        } else if expected[id] == .noStream {
          entries[id] = Entry(state: D.initial, version: .none, pending: nil)
        } else {
          missing.append(id)
        }
      }
      guard missing.isEmpty else { return Attempt(result: .missing(missing)) }

      for (id, entry) in entries {
        if entry.pending?.settled?.isFirst == true { entries[id]?.pending = nil }
      }
      let pending = entries.values.compactMap { $0.pending }
      let versions = entries.mapValues { $0.version }

      for (id, demand) in expected where !demand.accepts(versions[id] ?? .none) {
        let conflict = AppendConflict(
          stream: D.stream(id), expected: demand, actual: versions[id])
        return Attempt(result: .refused(conflict), waitsFor: pending, versions: versions)
      }
      let decisions: Decisions
      do {
        decisions = try decide(entries.mapValues { $0.state })
      } catch {
        return Attempt(result: .refused(error), waitsFor: pending, versions: versions)
      }
      guard decisions.contains(where: { !$0.events.isEmpty }) else {
        return Attempt(result: .nothing, waitsFor: pending, versions: versions)
      }

      var expectations = reads
      for (id, version) in versions {
        expectations[D.stream(id)] = version == .none ? .noStream : .exactly(version)
      }
      let ticket = log.enqueue(
        ProposedCommit(
          context: context,
          events: decisions.flatMap { decision in
            decision.events.map { ProposedEvent($0, in: D.stream(decision.id)) }
          },
          expectations: expectations, builtOn: pending))
      for decision in decisions where !decision.events.isEmpty {
        guard var entry = entries[decision.id] else { continue }
        for event in decision.events { D.evolve(&entry.state, event) }
        entry.version = entry.version + decision.events.count
        entry.pending = ticket
        entries[decision.id] = entry
        cache[D.stream(decision.id)] = entry
      }
      return Attempt(result: .queued(ticket))
    }
  }

  private func isConfirmed(_ attempt: Attempt) async -> Bool {
    for ticket in attempt.waitsFor {
      guard await ticket.outcome().isFirst else { return false }
    }
    for (id, version) in attempt.versions {
      guard let actual = try? await log.version(of: D.stream(id)), actual <= version else {
        return false
      }
    }
    return true
  }

  private func load(_ id: String) async throws {
    let stream = D.stream(id)
    cache.withLock { $0.loading[stream, default: (0, false)].readers += 1 }
    let loaded: Result<Entry, any Error>
    do {
      let events = try await log.stream(stream)
      var state = D.initial
      for event in events { D.evolve(&state, try D.decode(event)) }
      loaded = .success(
        Entry(state: state, version: events.last?.version ?? Version.none, pending: nil))
    } catch {
      loaded = .failure(error)
    }
    try cache.withLock { cache in
      let isStale = cache.loading[stream]?.isStale ?? false
      cache.loading[stream]?.readers -= 1
      if cache.loading[stream]?.readers == 0 { cache.loading[stream] = nil }
      let entry = try loaded.get()
      if isStale { return }
      if let present = cache[stream], present.version >= entry.version { return }
      cache[stream] = entry
    }
  }
}
