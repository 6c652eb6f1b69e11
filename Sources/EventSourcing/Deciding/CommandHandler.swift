import Synchronization

/// Loads, decides, appends: the only way from a command to the log.
///
/// Decisions on one stream pipeline: each is made on the state after the appends that this process
/// has queued, not only on what is durable. Nothing is answered before it is durable, a refusal
/// is answered only on a state that was confirmed, and when an append fails, what was built on
/// it is decided again.
///
/// Inlinable, so that each decider gets code of its own: unspecialised, half of the time of a
/// decision goes into looking its types up.
public final class CommandHandler<D: Decider>: Sendable {
  /// What a command did.
  public struct Outcome: Sendable {
    /// Nil when the command had been done already and left no event.
    public var commit: RecordedCommit?
    /// True when an earlier command of the same id did it.
    public var isRepeated: Bool

    @inlinable
    init(commit: RecordedCommit?, isRepeated: Bool) {
      self.commit = commit
      self.isRepeated = isRepeated
    }

    public var events: [Recorded] { commit?.events ?? [] }
    public var position: Position? { commit?.header.lastPosition }
  }

  /// The states that a decision reads, by aggregate id.
  public typealias States = [String: D.State]
  /// The events that a decision writes, by aggregate id, in order.
  public typealias Decisions = [(id: String, events: [D.Event])]

  @usableFromInline
  struct Attempt {
    @usableFromInline
    enum Result {
      case missing([String])
      case queued(AppendTicket, ProposedCommit)
      case nothing
      case refused(any Error)
    }

    @usableFromInline var result: Result
    @usableFromInline var waitsFor: [AppendTicket] = []
    @usableFromInline var versions: [(id: String, version: Version)] = []

    @inlinable
    init(
      _ result: Result, waitsFor: [AppendTicket] = [],
      versions: [(id: String, version: Version)] = []
    ) {
      self.result = result
      self.waitsFor = waitsFor
      self.versions = versions
    }
  }

  @usableFromInline let log: any EventLog
  @usableFromInline let maximumAttempts: Int
  @usableFromInline let cache: Mutex<DecidedStates<D>>
  /// Nil: streams are read from their first event.
  @usableFromInline let snapshots: AutomaticSnapshots<D>?
  @usableFromInline let novelty = Novelty()

  /// What is done while an append is under way.
  public typealias Meanwhile = (_ ticket: AppendTicket, _ commit: ProposedCommit) async -> Void

  /// - Parameter cachedStreamsMax: streams whose state is kept in memory, about.
  public convenience init(
    log: any EventLog, maximumAttempts: Int = 50, cachedStreamsMax: Int = 20_000
  ) {
    self.init(log, maximumAttempts, cachedStreamsMax: cachedStreamsMax, snapshots: nil)
  }

  /// Reads long streams from their snapshots on, and takes those.
  public convenience init(
    log: any EventLog, snapshots: (any SnapshotStore)?, maximumAttempts: Int = 50,
    cachedStreamsMax: Int = 20_000
  ) where D: SnapshottingDecider {
    self.init(
      log, maximumAttempts, cachedStreamsMax: cachedStreamsMax,
      snapshots: snapshots.map { AutomaticSnapshots(Snapshots(log: log, store: $0)) })
  }

  private init(
    _ log: any EventLog, _ maximumAttempts: Int, cachedStreamsMax: Int,
    snapshots: AutomaticSnapshots<D>?
  ) {
    self.log = log
    self.maximumAttempts = maximumAttempts
    self.cache = Mutex(DecidedStates(capacity: cachedStreamsMax / 2))
    self.snapshots = snapshots
  }

  /// Does one command on one aggregate.
  /// - Parameter meanwhile: what is to be done as soon as the append is queued. It is called again
  ///   when another attempt has to be made; what it did for the one before was in vain.
  /// - Throws: the decider's rejection, ``AppendConflict`` after too many lost races,
  ///   ``CommandIDReused``, ``AppendFailure``.
  @discardableResult
  @inlinable
  public func handle(
    _ command: D.Command, on id: String, context: CommitContext,
    expected: ExpectedVersion = .any, reads: [StreamName: ExpectedVersion] = [:],
    meanwhile: Meanwhile? = nil
  ) async throws -> Outcome {
    try await carryOut(on: [id], context: context, reads: reads, meanwhile) {
      attempt(command, on: id, context: context, expected: expected, reads: reads)
    }
  }

  /// Does a command that begins an aggregate, as a rule: a stream that this process has not met is
  /// taken for new instead of being read. Where it is not, all is as with ``handle(_:on:context:expected:reads:)``.
  @discardableResult
  @inlinable
  public func begin(
    _ command: D.Command, on id: String, context: CommitContext, meanwhile: Meanwhile? = nil
  ) async throws -> Outcome {
    let isKnown = cache.withLock { $0.entries[D.stream(id)] != nil }
    if !isKnown, novelty.isNewLikely() {
      do {
        let outcome = try await handle(
          command, on: id, context: context, expected: .noStream, meanwhile: meanwhile)
        if outcome.isRepeated { novelty.noteRepetition() }
        return outcome
      } catch is AppendConflict {
        // Something else was first.
        novelty.noteRepetition()
      }
    }
    return try await handle(command, on: id, context: context, meanwhile: meanwhile)
  }

  /// Decides over several aggregates at once; their events land in one commit or not at all.
  ///
  /// `decide` is pure and may be called several times. `expected` are the caller's own demands on
  /// versions (a mismatch throws ``AppendConflict`` and is not tried again); `reads` are streams
  /// of other aggregates that the decision was built on, and `alongside` are events of those: they
  /// land in the same commit when there is one. Whoever writes to a stream in this way makes its own
  /// handler ``forget(_:)`` it.
  @discardableResult
  @inlinable
  public func transact(
    on ids: [String], context: CommitContext, expected: [String: ExpectedVersion] = [:],
    reads: [StreamName: ExpectedVersion] = [:], alongside: [ProposedEvent] = [],
    decide: @Sendable (States) throws -> Decisions
  ) async throws -> Outcome {
    try await carryOut(on: ids, context: context, reads: reads, nil) {
      attempt(
        on: ids, context: context, expected: expected, reads: reads, alongside: alongside,
        decide: decide)
    }
  }

  @inlinable
  func carryOut(
    on ids: [String], context: CommitContext, reads: [StreamName: ExpectedVersion],
    _ meanwhile: Meanwhile?, _ attemptOnce: () -> Attempt
  ) async throws -> Outcome {
    var attempts = 0
    while true {
      attempts += 1
      let attempt = attemptOnce()
      switch attempt.result {
      case .missing(let missing):
        attempts -= 1
        for id in missing { try await load(id) }

      case .queued(let ticket, let commit):
        await meanwhile?(ticket, commit)
        switch await ticket.outcome() {
        case .success(let appended):
          if appended.isRepeated { forget(ids) } else { snapshots?.note(appended.commit) }
          return Outcome(commit: appended.commit, isRepeated: appended.isRepeated)
        case .failure(let error):
          forget(ids)
          guard let conflict = error as? AppendConflict, reads[conflict.stream] == nil,
            attempts < maximumAttempts, AppendTicket.preceding?.hasFailed != true
          else { throw error }
        }

      case .nothing, .refused:
        // Built on appends that may still fail, or on a state that another process has moved on.
        guard try await isConfirmed(attempt) else {
          guard attempts < maximumAttempts else {
            throw AppendFailure.notDone("the aggregate is too busy")
          }
          continue
        }
        if let earlier = try await log.commit(of: context.commandID) {
          try earlier.check(against: context)
          return Outcome(commit: earlier, isRepeated: true)
        }
        if case .refused(let rejection) = attempt.result { throw rejection }
        return Outcome(commit: nil, isRepeated: false)
      }
    }
  }

  /// The state and version of an aggregate: at least what this process wrote and had confirmed
  /// before the call. Name the version in `reads` of the decision that uses it.
  @inlinable
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

  /// Doubts the cached states, so that the next decision reads their streams on first.
  @inlinable
  public func forget(_ ids: [String]) {
    cache.withLock { cache in
      for id in ids { cache.doubt(D.stream(id)) }
    }
  }

  /// One decision on one aggregate, under the lock: the order of decisions is that of the queue.
  @inlinable
  func attempt(
    _ command: D.Command, on id: String, context: CommitContext, expected: ExpectedVersion,
    reads: [StreamName: ExpectedVersion]
  ) -> Attempt {
    let stream = D.stream(id)
    return cache.withLock { cache in
      guard var entry = cache.entry(of: stream, expected: expected) else {
        return Attempt(.missing([id]))
      }
      let events: [D.Event]
      do {
        guard expected.accepts(entry.version) else {
          throw AppendConflict(stream: stream, expected: expected, actual: entry.version)
        }
        events = try D.decide(command, entry.state)
      } catch {
        return Attempt(
          .refused(error), waitsFor: entry.waitsFor, versions: [(id, entry.version)])
      }
      guard !events.isEmpty else {
        return Attempt(.nothing, waitsFor: entry.waitsFor, versions: [(id, entry.version)])
      }
      var expectations = reads
      expectations[stream] = entry.version == .none ? .noStream : .exactly(entry.version)
      let commit = ProposedCommit(
        context: context, events: events.map { ProposedEvent($0, in: stream) },
        expectations: expectations, builtOn: Self.builtOn(entry.waitsFor))
      let ticket = log.enqueue(commit)
      entry.append(events, ticket)
      cache[stream] = entry
      return Attempt(.queued(ticket, commit))
    }
  }

  /// One decision on several aggregates, under the lock.
  @inlinable
  func attempt(
    on ids: [String], context: CommitContext, expected: [String: ExpectedVersion],
    reads: [StreamName: ExpectedVersion], alongside: [ProposedEvent],
    decide: (States) throws -> Decisions
  ) -> Attempt {
    cache.withLock { cache in
      var entries: [String: DecidedState<D>] = [:]
      var missing: [String] = []
      for id in ids {
        if let entry = cache.entry(of: D.stream(id), expected: expected[id] ?? .any) {
          entries[id] = entry
        } else {
          missing.append(id)
        }
      }
      guard missing.isEmpty else { return Attempt(.missing(missing)) }

      let pending = entries.values.flatMap(\.waitsFor)
      let versions = entries.map { (id: $0.key, version: $0.value.version) }
      let decisions: Decisions
      do {
        for (id, demand) in expected {
          let actual = entries[id]?.version ?? .none
          guard demand.accepts(actual) else {
            throw AppendConflict(stream: D.stream(id), expected: demand, actual: actual)
          }
        }
        decisions = try decide(entries.mapValues { $0.state })
      } catch {
        return Attempt(.refused(error), waitsFor: pending, versions: versions)
      }
      guard decisions.contains(where: { !$0.events.isEmpty }) else {
        return Attempt(.nothing, waitsFor: pending, versions: versions)
      }

      var expectations = reads
      for (id, version) in versions {
        expectations[D.stream(id)] = version == .none ? .noStream : .exactly(version)
      }
      let commit = ProposedCommit(
        context: context,
        events: alongside
          + decisions.flatMap { decision in
            decision.events.map { ProposedEvent($0, in: D.stream(decision.id)) }
          },
        expectations: expectations, builtOn: Self.builtOn(pending))
      let ticket = log.enqueue(commit)
      for decision in decisions where !decision.events.isEmpty {
        guard var entry = entries[decision.id] else { continue }
        entry.append(decision.events, ticket)
        entries[decision.id] = entry
        cache[D.stream(decision.id)] = entry
      }
      return Attempt(.queued(ticket, commit))
    }
  }

  @inlinable
  static func builtOn(_ tickets: [AppendTicket]) -> [AppendTicket] {
    AppendTicket.preceding.map { tickets + [$0] } ?? tickets
  }

  /// Whether a decision that wrote nothing was made on the truth: what it was built on is durable,
  /// and what the streams hold beyond it was appended by this process afterwards. What it read
  /// afterwards does not count: that may have been there before the command came. When it was not,
  /// the next decision is made on a newer state.
  @inlinable
  func isConfirmed(_ attempt: Attempt) async throws -> Bool {
    for ticket in attempt.waitsFor {
      guard await ticket.outcome().isFirst else {
        forget(attempt.versions.map(\.id))
        return false
      }
    }
    for (id, version) in attempt.versions {
      let stream = D.stream(id)
      let actual = try await log.version(of: stream)
      guard actual > version else { continue }
      guard let entry = cache.withLock({ $0[stream] }), actual <= entry.version else {
        forget([id])
        return false
      }
      guard entry.readTo <= version else { return false }
      if let pending = entry.pending, await !pending.outcome().isFirst {
        forget([id])
        return false
      }
    }
    return true
  }

  /// Reads a stream, or what is new of it, into the cache; one reader for all who need it.
  @inlinable
  func load(_ id: String) async throws {
    let stream = D.stream(id)
    let task = cache.withLock { cache in
      cache.reading(of: stream) { known in
        Task { try await self.read(stream, from: known) }
      }
    }
    try await task.value
  }

  @inlinable
  func read(
    _ stream: StreamName, from known: (state: D.State, version: Version)?
  ) async throws {
    defer { cache.withLock { $0.endReading(of: stream) } }
    var state = known?.state ?? D.initial
    var version = known?.version ?? Version.none
    if let snapshots, version == .none {
      (state, version) = try await snapshots.load(stream)
    } else {
      for event in try await log.stream(stream, from: version + 1) {
        D.evolve(&state, try D.decode(event))
        version = event.version
      }
    }
    let entry = DecidedState<D>(state: state, version: version)
    cache.withLock { $0.take(entry, of: stream) }
  }
}

extension RecordedCommit {
  /// - Throws: ``CommandIDReused`` when the command that wrote it had another payload.
  @usableFromInline
  func check(against context: CommitContext) throws {
    if let old = header.context.fingerprint, let new = context.fingerprint, old != new {
      throw CommandIDReused(commandID: context.commandID)
    }
  }
}
