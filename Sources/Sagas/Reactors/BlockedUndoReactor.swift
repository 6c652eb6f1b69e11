import Commerce
import EventSourcing
import Logging

/// Goes on trying, slowly, an undo that the domain refused: a blocked compensation never ends in
/// silence. It stops when the undo is accepted, or when the saga knows that it is done.
public struct BlockedUndoReactor: Sendable {
  public static let name = "blocked-undo-reactor.v1"

  private let sagas: CommandHandler<OrderFulfilment>
  private let dispatcher: any CommandDispatcher
  private let clock: ReactorClock
  private let logger: Logger
  private let backoff: Backoff

  public init(
    log: any EventLog, dispatcher: any CommandDispatcher, logger: Logger,
    clock: ReactorClock = .system,
    backoff: Backoff = Backoff(first: .seconds(1), maximum: .seconds(300))
  ) {
    self.sagas = CommandHandler(log: log)
    self.dispatcher = dispatcher
    self.clock = clock
    self.logger = logger
    self.backoff = backoff
  }

  /// The refused undo; nil for all other events.
  public func key(for event: Recorded) -> String? {
    Self.refusedStep(in: event).map { "\(event.stream.id)/\($0.rawValue)" }
  }

  /// Returns when the undo is accepted or no longer needed.
  public func handle(_ event: Recorded) async throws {
    guard let step = Self.refusedStep(in: event) else { return }
    let saga = event.stream.id
    var attempt = 0
    while let command = try await blockedCommand(step, of: saga) {
      attempt += 1
      try await clock.sleep(backoff.delay(attempt: attempt))
      do {
        return try await dispatcher.dispatch(command, causation: event)
      } catch let refusal as CommandRefused {
        if refusal.reason == OrderFulfilment.nothingToDo {
          return try await acknowledge(command, of: saga, event)
        }
        logger.error(
          "a compensation is blocked",
          metadata: [
            "saga": "\(saga)", "step": "\(step.rawValue)", "attempt": "\(attempt)",
            "reason": "\(refusal)",
          ])
      }
    }
  }

  private static func refusedStep(in event: Recorded) -> OrderFulfilment.Step? {
    guard event.stream.category == OrderFulfilment.category,
      event.type == SagaEvent.Kind.compensationBlocked.rawValue,
      let finished = (try? OrderFulfilment.decode(event))?.finished,
      finished.direction == .undo, finished.outcome == .refused
    else { return nil }
    return finished.step
  }

  private func blockedCommand(
    _ step: OrderFulfilment.Step, of saga: String
  ) async throws -> OutgoingCommand? {
    sagas.forget([saga])
    let state = try await sagas.state(of: saga).state
    guard state.blocked[step] != nil, let order = state.order else { return nil }
    return OrderFulfilment.command(step, .undo, of: order, because: state.failure)
  }

  /// No event will say that there was nothing left to undo.
  private func acknowledge(
    _ command: OutgoingCommand, of saga: String, _ event: Recorded
  ) async throws {
    try await sagas.handle(
      .refused(command, reason: OrderFulfilment.nothingToDo), on: saga,
      context: CommitContext(
        commandID: CommandID(derivedFrom: "\(command.effectID)/acknowledged"),
        correlationID: event.correlationID, causationID: event.eventID, timestamp: clock.now(),
        serviceName: "sagas", metadata: event.header.context.metadata))
  }
}
