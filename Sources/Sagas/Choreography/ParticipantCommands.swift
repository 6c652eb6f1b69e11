import Commerce
import EventSourcing
import Logging

/// The commands of ``OrderFulfilment``, under the same names and effect ids, as participants send
/// them.
struct ParticipantCommands: Sendable {
  enum Answer: Sendable, Hashable {
    /// It is done, now or before; an event says so.
    case done
    /// It had been done by another command, or there was nothing to undo: no event will come.
    case nothingToDo
    /// The domain will never do it; the order is being cancelled.
    case refused
  }

  let shop: Shop
  let dispatcher: any CommandDispatcher
  let logger: Logger

  /// Asks for a step. The order is cancelled when the domain refuses it: nobody else would move the
  /// order on.
  func request(
    _ step: OrderFulfilment.Step, of order: SagaOrder, causedBy event: Recorded
  ) async throws -> Answer {
    switch try await send(step, .forward, of: order, because: nil, causedBy: event) {
    case .success(let answer): return answer
    case .failure(let refusal):
      let failure = SagaFailure(code: Self.code(ofRefused: step), reason: refusal.reason)
      try await cancel(order, because: failure, causedBy: event)
      return .refused
    }
  }

  /// Asks for the buyer to be told. Whether that works changes nothing for the order.
  func notify(_ order: SagaOrder, causedBy event: Recorded) async throws {
    _ = try await send(.notify, .forward, of: order, because: nil, causedBy: event)
  }

  /// Ends the order. The participants that hear of it undo what they have done.
  func cancel(
    _ order: SagaOrder, because failure: SagaFailure, causedBy event: Recorded
  ) async throws {
    try await undo(.place, of: order, because: failure, causedBy: event)
  }

  /// Takes a step back. An undo cannot be refused for business reasons; one that is refused all the
  /// same is reported as an error, and the order shows as stuck to the watcher.
  func undo(
    _ step: OrderFulfilment.Step, of order: SagaOrder, because failure: SagaFailure?,
    causedBy event: Recorded
  ) async throws {
    let sent = try await send(step, .undo, of: order, because: failure, causedBy: event)
    guard case .failure(let refusal) = sent else { return }
    logger.error(
      "an undo was refused: a person has to look at this order",
      metadata: [
        "order": "\(order.id)", "step": "\(step.rawValue)", "reason": "\(refusal)",
      ])
  }

  /// The order that an event is about, as it is after the event, or later. Nil for one that was
  /// never placed.
  func order(of event: Recorded) async throws -> (order: SagaOrder, status: OrderStatus)? {
    let id = try event.data.orderID()
    let state =
      event.stream.category == Orders.category
      ? try await shop.orders.state(after: event)
      : try await shop.orders.state(of: id.text).state
    guard let placed = state.initiated, let status = state.status else { return nil }
    return (try SagaOrder(fields: placed.fields), status)
  }

  private func send(
    _ step: OrderFulfilment.Step, _ direction: SagaDirection, of order: SagaOrder,
    because failure: SagaFailure?, causedBy event: Recorded
  ) async throws -> Result<Answer, CommandRefused> {
    guard
      let command = OrderFulfilment.command(step, direction, of: order, because: failure)
    else { return .success(.nothingToDo) }
    do {
      try await dispatcher.dispatch(command, causation: CommandCause(event))
      return .success(.done)
    } catch let refusal as CommandRefused {
      if refusal.reason == OrderFulfilment.nothingToDo { return .success(.nothingToDo) }
      return .failure(refusal)
    }
  }

  private static func code(ofRefused step: OrderFulfilment.Step) -> String {
    switch step {
    case .reserve: "RESERVATION_REFUSED"
    case .pay: "PAYMENT_REFUSED"
    case .confirm: "CONFIRMATION_REFUSED"
    case .place, .hold, .notify: "NOT_COMPLETED"
    }
  }
}

extension Recorded {
  /// Whether it is the first event of the commit by which the order's own command did a step or
  /// undid it: stock is also moved by hand on behalf of an order, and a commit over all products
  /// speaks once.
  func isAnswer(to step: OrderFulfilment.Step, _ direction: SagaDirection) -> Bool {
    guard index == 0, let order = try? data.orderID() else { return false }
    return commandID.isOf(effect: OrderFulfilment.effectID(order, step, direction))
  }
}
