/// What operators do to sagas of one kind, one or many: the act is an event of the saga's own stream,
/// with who did it and why, and whoever runs the sagas sends the commands that it carries.
///
/// Which sagas a filter means is found in a read model; whether an act fits a saga is decided on its
/// stream, and a saga that has left what the filter means is left alone.
public struct SagaOperations<P: ProcessManager>: Sendable {
  /// Sagas that a filter may mean, those first that have waited longest, at most so many.
  public typealias Select = @Sendable (SagaFilter, Int) async throws -> [String]

  /// Attempts on a saga that moves on meanwhile.
  private static var attemptsMax: Int { 10 }

  private let log: any EventLog
  private let sagas: CommandHandler<Saga<P>>
  private let select: Select

  public init(log: any EventLog, select: @escaping Select) {
    self.log = log
    self.select = select
    sagas = CommandHandler(log: log)
  }

  /// Nil for a saga that there is not.
  public func standing(of id: String) async throws -> SagaStanding? {
    try await FoldedSaga<P>(id, in: log)?.standing
  }

  /// Does an act to one saga. The same act done twice is done once, and answered alike.
  /// - Parameters:
  ///   - context: its command id is replaced, its correlation id becomes the saga's.
  ///   - isDryRun: nothing is written; the outcome says what would be.
  /// - Returns: nil for a saga that there is not.
  /// - Throws: ``SagaActIncomplete``, ``CommandIDReused``, ``AppendFailure``.
  public func carryOut(
    _ act: SagaAct, on id: String, context: CommitContext, isDryRun: Bool = false
  ) async throws -> SagaActOutcome? {
    try Self.check(act)
    return try await carryOut(act, on: id, if: nil, context, isDryRun)
  }

  /// Does an act to all sagas that a filter means, one by one. One that refuses does not stop the
  /// others.
  /// - Parameter limit: so many sagas at most.
  public func carryOut(
    _ act: SagaAct, on filter: SagaFilter, limit: Int, context: CommitContext,
    isDryRun: Bool = false
  ) async throws -> SagaActOutcomes {
    try Self.check(act)
    let found = try await select(filter, limit + 1)
    var outcomes = SagaActOutcomes(hasMore: found.count > limit)
    for id in found.prefix(limit) {
      let outcome = try await carryOut(act, on: id, if: filter, context, isDryRun)
      if let outcome { outcomes.sagas.append(outcome) }
    }
    return outcomes
  }

  // MARK: Parts

  private static func check(_ act: SagaAct) throws(SagaActIncomplete) {
    func isBlank(_ text: String) -> Bool { text.allSatisfy(\.isWhitespace) }
    if isBlank(act.reason) { throw .reasonMissing }
    if isBlank(act.by) { throw .nameMissing }
  }

  private func carryOut(
    _ act: SagaAct, on id: String, if filter: SagaFilter?, _ context: CommitContext,
    _ isDryRun: Bool
  ) async throws -> SagaActOutcome? {
    var attempt = 1
    while true {
      guard let saga = try await FoldedSaga<P>(id, in: log), let standing = saga.standing else {
        return nil
      }
      var context = context
      context.commandID = CommandID(derivedFrom: "\(act.action.name)/\(act.id)/\(id)")
      context.correlationID = saga.first?.correlationID ?? context.correlationID
      if !isDryRun, let done = try await log.commit(of: context.commandID) {
        try done.check(against: context)
        // What was answered then.
        let before = try await FoldedSaga<P>(id, in: log, before: done.header.firstPosition)
        return SagaActOutcome(before?.standing ?? standing, recorded: done.events)
      }
      if let filter, !filter.takes(standing, at: context.timestamp) {
        return SagaActOutcome(standing, refused: "it has moved on: it is \(standing.state) now")
      }
      do {
        let input = SagaInput(.act(act), saga: id, at: context.timestamp)
        if isDryRun { return Self.plan(try Saga<P>.decide(input, saga.state), standing) }
        return try await record(input, standing, context)
      } catch let refusal as SagaRefusal {
        return SagaActOutcome(standing, refused: refusal.description)
      } catch let conflict as AppendConflict {
        // It has moved on since it was read.
        guard attempt < Self.attemptsMax else { throw conflict }
        attempt += 1
      }
    }
  }

  private static func plan(
    _ events: [SagaRecord<P>], _ saga: SagaStanding
  ) -> SagaActOutcome {
    events.isEmpty
      ? SagaActOutcome(saga, refused: changesNothing)
      : SagaActOutcome(
        saga, .planned, events.map { .init(type: $0.type, data: $0.data, position: nil) })
  }

  private func record(
    _ input: SagaInput, _ saga: SagaStanding, _ context: CommitContext
  ) async throws -> SagaActOutcome {
    sagas.forget([saga.id])
    let outcome = try await sagas.handle(
      input, on: saga.id, context: context, expected: .exactly(saga.version))
    return outcome.events.isEmpty
      ? SagaActOutcome(saga, refused: Self.changesNothing)
      : SagaActOutcome(saga, recorded: outcome.events)
  }

  private static var changesNothing: String { "it changes nothing" }
}

/// What an act lacks.
public enum SagaActIncomplete: Error, Sendable, Hashable, CustomStringConvertible {
  case reasonMissing
  case nameMissing

  public var description: String {
    switch self {
    case .reasonMissing: "say why: the reason is recorded"
    case .nameMissing: "say who does it: the name is recorded"
    }
  }
}

/// What an act did to a saga, or would do.
public struct SagaActOutcome: Sendable {
  public enum Verdict: Sendable, Hashable {
    case recorded
    /// A dry run: nothing is written.
    case planned
    /// The act does not fit the saga as it stands.
    case refused(String)

    public var name: String {
      switch self {
      case .recorded: "recorded"
      case .planned: "planned"
      case .refused: "refused"
      }
    }
  }

  /// An event of the saga, recorded or only planned.
  public struct Event: Sendable {
    public var type: String
    public var data: Fields
    public var position: Position?

    /// The commands that are sent because of it.
    public var commands: [OutgoingCommand] {
      (try? data.objects(OutgoingCommand.field, decode: OutgoingCommand.init(fields:))) ?? []
    }
  }

  public var saga: String
  /// The state that it was in.
  public var state: String
  public var verdict: Verdict
  public var events: [Event]

  init(_ saga: SagaStanding, _ verdict: Verdict, _ events: [Event] = []) {
    self.saga = saga.id
    self.state = saga.state
    self.verdict = verdict
    self.events = events
  }

  init(_ saga: SagaStanding, refused reason: String) { self.init(saga, .refused(reason)) }

  init(_ saga: SagaStanding, recorded events: [Recorded]) {
    self.init(
      saga, .recorded,
      events.map { Event(type: $0.type, data: $0.data, position: $0.position) })
  }

  /// Where the act is in the log.
  public var position: Position? { events.compactMap(\.position).max() }

  public var refusal: String? {
    if case .refused(let reason) = verdict { reason } else { nil }
  }

  /// For machines: the verdict, and each event with its state, commands and timer.
  public var fields: Fields {
    var fields: Fields = [
      "saga_id": .string(saga), "state": .string(state), "outcome": .string(verdict.name),
    ]
    fields["refusal"] = refusal.map(Value.string)
    fields["recorded_at"] = position.map { .integer($0.rawValue) }
    fields["events"] = .array(events.map { .object($0.fields) })
    return fields
  }
}

extension SagaActOutcome.Event {
  fileprivate var fields: Fields {
    var fields: Fields = ["event": .string(type), "state": data["state"] ?? .null]
    fields["position"] = position.map { .integer($0.rawValue) }
    fields["commands"] = .array(
      commands.map { ["name": .string($0.name), "effect_id": .string($0.effectID)] })
    fields["timer"] = data[SagaTimer.field] ?? .null
    return fields
  }
}

/// What an act did to the sagas that a filter means.
public struct SagaActOutcomes: Sendable {
  public var sagas: [SagaActOutcome] = []
  /// Whether there are more than were to be acted on.
  public var hasMore: Bool

  init(hasMore: Bool) { self.hasMore = hasMore }

  /// How many were recorded, or would be.
  public var accepted: Int { sagas.count { $0.refusal == nil } }
  public var refused: Int { sagas.count - accepted }
  public var position: Position? { sagas.compactMap(\.position).max() }

  public var fields: Fields {
    [
      "count": .integer(Int64(sagas.count)), "accepted": .integer(Int64(accepted)),
      "refused": .integer(Int64(refused)), "has_more": .bool(hasMore),
      "sagas": .array(sagas.map { .object($0.fields) }),
    ]
  }
}
