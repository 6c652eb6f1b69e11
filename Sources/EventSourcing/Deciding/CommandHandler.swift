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
    /// An earlier state that is durable, to start from when the later one turns out to be wrong.
    var durable: (state: D.State, version: Version)
    /// The stream has to be read on from `durable`.
    var isDoubtful = false

    init(state: D.State, version: Version) {
      self.state = state
      self.version = version
      durable = (state, version)
    }

    /// Takes note that everything in it is durable, once it is.
    mutating func settle() {
      guard pending?.settled?.isFirst == true else { return }
      pending = nil
      durable = (state, version)
    }
  }

  private struct Cache {
    var entries: RecencyCache<StreamName, Entry>
    /// Streams that are being read, each by one reader for all who need it.
    var loading: [StreamName: Task<Void, any Error>] = [:]
    /// Streams that were doubted while they were being read: what was read may be too old.
    var doubted: Set<StreamName> = []

    /// Nil when the stream has to be read first.
    subscript(stream: StreamName) -> Entry? {
      mutating get {
        guard var entry = entries[stream], !entry.isDoubtful else { return nil }
        entry.settle()
        return entry
      }
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
        guard try await isConfirmed(attempt) else {
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

  /// Doubts the cached states, so that the next decision reads their streams on first.
  public func forget(_ ids: [String]) {
    cache.withLock { cache in
      for id in ids {
        let stream = D.stream(id)
        if cache.loading[stream] != nil { cache.doubted.insert(stream) }
        guard var entry = cache.entries[stream] else { continue }
        entry.settle()
        entry.isDoubtful = true
        cache.entries[stream] = entry
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
          entries[id] = Entry(state: D.initial, version: .none)
        } else {
          missing.append(id)
        }
      }
      guard missing.isEmpty else { return Attempt(result: .missing(missing)) }

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

  /// Whether a decision that wrote nothing was made on the truth: what it was built on is durable,
  /// and what the streams hold beyond it was appended by this process afterwards.
  private func isConfirmed(_ attempt: Attempt) async throws -> Bool {
    for ticket in attempt.waitsFor {
      guard await ticket.outcome().isFirst else { return false }
    }
    for (id, version) in attempt.versions {
      let stream = D.stream(id)
      let actual = try await log.version(of: stream)
      guard actual > version else { continue }
      guard let entry = cache.withLock({ $0[stream] }), actual <= entry.version else {
        return false
      }
      if let pending = entry.pending, await !pending.outcome().isFirst { return false }
    }
    return true
  }

  /// Reads a stream, or what is new of it, into the cache; one reader for all who need it.
  private func load(_ id: String) async throws {
    let stream = D.stream(id)
    let task = cache.withLock { cache in
      if let task = cache.loading[stream] { return task }
      cache.doubted.remove(stream)
      let known = cache.entries[stream]?.durable
      let task = Task { try await self.read(stream, from: known) }
      cache.loading[stream] = task
      return task
    }
    try await task.value
  }

  private func read(
    _ stream: StreamName, from known: (state: D.State, version: Version)?
  ) async throws {
    defer { cache.withLock { $0.loading[stream] = nil } }
    var state = known?.state ?? D.initial
    var version = known?.version ?? Version.none
    for event in try await log.stream(stream, from: version + 1) {
      D.evolve(&state, try D.decode(event))
      version = event.version
    }
    let entry = Entry(state: state, version: version)
    cache.withLock { cache in
      if cache.doubted.remove(stream) != nil {
        // Durable all the same: the next reader goes on from here.
        var doubtful = entry
        doubtful.isDoubtful = true
        cache.entries[stream] = doubtful
      } else if let present = cache[stream], present.version >= version {
        return
      } else {
        cache.entries[stream] = entry
      }
    }
  }
}
