import Foundation

/// A saga as a decider: its commands are the inputs that move it, its own events say what it has
/// decided to do. `decide` is the saga's `react`, `evolve` its fold; replay calls only `evolve`, so
/// a replay sends nothing.
///
/// What is the same for all sagas is not here: ``Saga`` adds suspension at an input that cannot be
/// taken, and what operators do about it.
public protocol ProcessManager: Decider where Command == SagaInput, Rejection == SagaRefusal {
  /// The subscription's name: `order-fulfilment.v1`. It outlives versions of the definition.
  static var name: String { get }
  /// The saga that an event is an input of; nil when it is none of its business.
  static func sagaID(for event: Recorded) -> String?
  /// Whether sagas begin with such an event: there is nothing to read of them before.
  static func begins(with event: Recorded) -> Bool
  /// The last input that was taken: inputs come in the order of the log.
  static func lastInput(of state: State) -> Position
  /// Commands whose outcome the saga waits for: they are sent again when a person has it go on.
  static func pendingCommands(of state: State) -> [OutgoingCommand]
  /// The one timer that is live.
  static func timer(of state: State) -> SagaTimer?
  /// Whether there is nothing left that it would wait for, unless it is suspended.
  static func hasEnded(_ state: State) -> Bool
  /// What a person is asked to do for it; nil when it goes on by itself.
  static func task(of state: State) -> String?
  /// What every event of the saga's stream says of it, also those of ``SagaMark``: as in `order_id`;
  /// always its `state` and its `definition`.
  static func identity(of id: String, _ state: State) -> Fields
}

extension ProcessManager {
  public static func task(of state: State) -> String? { nil }
  public static func begins(with event: Recorded) -> Bool { false }
}

/// What moves a saga, and when: the clock and the settings are inputs.
public struct SagaInput: Sendable {
  public enum Cause: Sendable {
    case event(Recorded)
    /// A command that the saga had sent was refused for good by the domain. `by`: of the saga's
    /// event that carried the command.
    case refused(OutgoingCommand, reason: String, by: Position)
    /// The timer of this epoch is due.
    case timer(epoch: Int64)
    /// An operator has done something.
    case act(SagaAct)
    /// An event that was parked while the saga was suspended is taken again, after `since`.
    case parked(Recorded, since: Position)
  }

  public var cause: Cause
  /// The saga that it is an input of.
  public var saga: String
  public var at: Timestamp
  /// Durations in seconds, by name. Sagas keep those that they began with.
  public var settings: [String: Int64]

  public init(
    _ cause: Cause, saga: String, at: Timestamp, settings: [String: Int64] = [:]
  ) {
    self.cause = cause
    self.saga = saga
    self.at = at
    self.settings = settings
  }

  /// The event of the log that is the input, if it is one.
  public var event: Recorded? {
    switch cause {
    case .event(let event), .parked(let event, _): event
    case .refused, .timer, .act: nil
    }
  }

  /// Names the input for the saga's commit: each is taken once.
  public var key: String {
    switch cause {
    case .event(let event): "\(event.position)"
    case .refused(let command, _, let position): "refused/\(command.effectID)/\(position)"
    case .timer(let epoch): "timer/\(epoch)"
    case .act(let act): "act/\(act.id)"
    case .parked(let event, let since): "\(event.position)/after/\(since)"
    }
  }
}

/// When a saga is to be woken. It is part of the saga's own event, absolute, and due once: a timer
/// of an older epoch than the saga's does nothing.
public struct SagaTimer: Sendable, Hashable {
  /// Where a saga's event keeps it.
  public static let field = "timer"

  /// What it is for, as in `pay deadline`.
  public var name: String
  public var due: Timestamp
  /// Rises with every timer that the saga sets.
  public var epoch: Int64

  public init(name: String, due: Timestamp, epoch: Int64) {
    self.name = name
    self.due = due
    self.epoch = epoch
  }

  public var value: Value {
    .object(["name": .string(name), "due": .string(due.iso8601), "epoch": .integer(epoch)])
  }

  public init(fields: Fields) throws {
    name = try fields.string("name")
    due = try fields.timestamp("due")
    epoch = try fields.integer("epoch")
  }

  /// The timer that is live after an event of a saga's stream.
  public init?(in event: Recorded) throws {
    guard let fields = try event.data.objectIfPresent(Self.field) else { return nil }
    try self.init(fields: fields)
  }
}

/// What an operator does to a saga. The reason is recorded.
public struct SagaAct: Sendable, Hashable {
  public enum Action: Sendable, Hashable, CaseIterable {
    /// Sends again, now, whatever the saga waits for.
    case retry
    /// Takes the step under way, or the input that the saga is suspended at, for settled, on
    /// evidence from outside.
    case skip
    /// Turns the saga back.
    case forceCompensation
    /// Has a suspended saga go on: after a mend.
    case resume

    public var name: String {
      switch self {
      case .retry: "retry"
      case .skip: "skip"
      case .forceCompensation: "force-compensate"
      case .resume: "resume"
      }
    }
  }

  /// The same id is the same act.
  public var id: String
  public var action: Action
  public var reason: String
  public var by: String

  public init(id: String, _ action: Action, reason: String, by: String) {
    self.id = id
    self.action = action
    self.reason = reason
    self.by = by
  }

  public var fields: Fields {
    [
      "id": .string(id), "action": .string(action.name), "reason": .string(reason),
      "by": .string(by),
    ]
  }

  public init(fields: Fields) throws {
    let name = try fields.string("action")
    guard let action = Action.allCases.first(where: { $0.name == name }) else {
      throw FieldError("action", .invalid("\(name) is not known here"))
    }
    self.init(
      id: try fields.string("id"), action, reason: try fields.string("reason"),
      by: try fields.string("by"))
  }
}

/// Why a saga does not take an input. It leaves no event, but for the first kind.
public enum SagaRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  /// The input cannot be understood: the saga is suspended at it.
  case poison(String)
  /// An operator's act does not fit the state that the saga is in.
  case notNow(String)

  public var description: String {
    switch self {
    case .poison(let reason), .notNow(let reason): reason
    }
  }
}

/// A command that a saga has decided to send. It is stored in the saga's event under
/// ``OutgoingCommand/field`` and sent after that commit, until it is acknowledged.
public struct OutgoingCommand: Sendable, Hashable {
  /// Where a saga's event keeps its commands.
  public static let field = "commands"

  /// order / step / direction / n: never the attempt. The command id, the provider's idempotency
  /// key and the compensation's key are made of it.
  public var effectID: String
  /// As in `ReserveStock`.
  public var name: String
  public var payload: Fields

  public init(effectID: String, name: String, payload: Fields) {
    self.effectID = effectID
    self.name = name
    self.payload = payload
  }

  public var commandID: CommandID { CommandID(effect: effectID) }

  public var fields: Fields {
    ["effect_id": .string(effectID), "name": .string(name), "payload": .object(payload)]
  }

  public init(fields: Fields) throws {
    self.init(
      effectID: try fields.string("effect_id"), name: try fields.string("name"),
      payload: try fields.object("payload"))
  }

  /// The commands that a saga's event carries.
  public static func commands(in event: Recorded) throws -> [OutgoingCommand] {
    try commands(in: event.data)
  }

  static func commands(in data: Fields) throws -> [OutgoingCommand] {
    guard data[field] != nil else { return [] }
    return try data.objects(field, decode: OutgoingCommand.init(fields:))
  }
}

/// The event that a command is sent for: what the command's own events remember of it.
public struct CommandCause: Sendable {
  public var eventID: UUID
  public var stream: StreamName
  public var correlationID: UUID
  public var metadata: Fields

  public init(_ event: Recorded) {
    eventID = event.eventID
    stream = event.stream
    correlationID = event.correlationID
    metadata = event.header.context.metadata
  }

  /// An event whose append is under way: all but its position is known.
  init(_ index: Int, of commit: ProposedCommit) {
    eventID = Recorded.eventID(command: commit.context.commandID, index: index)
    stream = commit.events[index].stream
    correlationID = commit.context.correlationID
    metadata = commit.context.metadata
  }
}

/// The domain refused a command for good: a saga treats it as an answer, not as a fault.
public struct CommandRefused: Error, Sendable, CustomStringConvertible {
  public var reason: String
  public init(reason: String) { self.reason = reason }
  public var description: String { reason }
}

/// Sends a saga's commands through the same front door that everybody uses.
public protocol CommandDispatcher: Sendable {
  /// Whether all that a command does is to append to the saga's own log, by ``CommandHandler``. Such
  /// a command is sent as soon as the saga's commit is queued, and its own commit stands behind that
  /// one in the log, or nowhere. Others are sent when the saga's commit is durable.
  var isAppending: Bool { get }
  /// Returns when the command is done (or was done before). Throws ``CommandRefused`` when it
  /// never will be, anything else when it should be sent again.
  func dispatch(_ command: OutgoingCommand, causation: CommandCause) async throws
}

extension CommandDispatcher {
  public var isAppending: Bool { false }
}
