import Foundation
import Synchronization

/// A saga as a decider: its commands are the events that it listens to, its own events say what
/// it has decided to do. `decide` is the saga's `react`, `evolve` its fold; replay calls only
/// `evolve`, so a replay sends nothing.
public protocol ProcessManager: Decider where Command == SagaInput, Rejection == Never {
  /// The subscription's name, with the version of the definition: `order-fulfilment.v1`.
  static var name: String { get }
  /// The saga that an event is an input of; nil when it is none of its business.
  static func sagaID(for event: Recorded) -> String?
  /// Whether sagas begin with such an event: there is nothing to read of them before.
  static func begins(with event: Recorded) -> Bool
}

extension ProcessManager {
  public static func begins(with event: Recorded) -> Bool { false }
}

/// What moves a saga.
public enum SagaInput: Sendable {
  case event(Recorded)
  /// A command that the saga had sent was refused for good by the domain.
  case refused(OutgoingCommand, reason: String)

  /// Names the input for the saga's commit: each is taken once.
  public var key: String {
    switch self {
    case .event(let event): "\(event.position)"
    case .refused(let command, _): "refused/\(command.effectID)"
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

  public var commandID: CommandID { CommandID(derivedFrom: effectID) }

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
    guard event.data[field] != nil else { return [] }
    return try event.data.objects(field, decode: OutgoingCommand.init(fields:))
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
  /// Returns when the command is done (or was done before). Throws ``CommandRefused`` when it
  /// never will be, anything else when it should be sent again.
  func dispatch(_ command: OutgoingCommand, causation: Recorded) async throws
}

/// Runs one kind of saga: commits each input once, then sends the commands of that commit.
///
/// A crash before the commit brings the input again; after it, the commit is found by its command
/// id and its commands are sent again; their ids are the same, so nothing happens twice.
public struct ProcessManagerHandler<P: ProcessManager>: Sendable {
  private let sagas: CommandHandler<P>
  private let dispatcher: any CommandDispatcher
  private let beginnings = Beginnings()

  public init(log: any EventLog, dispatcher: any CommandDispatcher) {
    self.sagas = CommandHandler(log: log)
    self.dispatcher = dispatcher
  }

  /// Handles one input to its end. Throws when it should be tried again.
  public func handle(_ event: Recorded) async throws {
    guard let id = P.sagaID(for: event) else { return }
    try await advance(id, input: .event(event), cause: event)
  }

  private func advance(_ id: String, input: SagaInput, cause: Recorded) async throws {
    let context = CommitContext(
      commandID: CommandID(derivedFrom: "\(P.name)/\(id)/\(input.key)"),
      correlationID: cause.correlationID, causationID: cause.eventID, timestamp: .now,
      serviceName: "sagas", metadata: cause.header.context.metadata)
    let outcome = try await carryOut(input, on: id, context: context)
    for event in outcome.events {
      for command in try OutgoingCommand.commands(in: event) {
        do {
          try await dispatcher.dispatch(command, causation: event)
        } catch let refusal as CommandRefused {
          try await advance(
            id, input: .refused(command, reason: refusal.reason), cause: event)
        }
      }
    }
  }

  private func carryOut(
    _ input: SagaInput, on id: String, context: CommitContext
  ) async throws -> CommandHandler<P>.Outcome {
    if case .event(let event) = input, P.begins(with: event), beginnings.isNewLikely() {
      do {
        let outcome = try await sagas.handle(
          input, on: id, context: context, expected: .noStream)
        if outcome.isRepeated { beginnings.noteRepetition() }
        return outcome
      } catch is AppendConflict {
        // Something else was first.
      }
    }
    return try await sagas.handle(input, on: id, context: context)
  }
}

/// Whether a saga that begins is likely to be new. An append that turns out to be a repetition stops
/// the appender's pipeline, so after one (a restart, another process of this role) the next
/// beginnings are looked up first.
private final class Beginnings: Sendable {
  private static let lookedUp = 1000

  private let left = Atomic(0)

  func noteRepetition() { left.store(Self.lookedUp, ordering: .relaxed) }

  func isNewLikely() -> Bool {
    left.load(ordering: .relaxed) <= 0 || left.subtract(1, ordering: .relaxed).oldValue <= 0
  }
}
