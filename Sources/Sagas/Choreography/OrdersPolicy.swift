import Commerce
import EventSourcing

/// Confirms an order that is paid, tells the buyer, and cancels an order that cannot be carried out
/// or that the customer no longer wants.
///
/// It cancels at once: what was done for the order is undone by those who did it, when they hear of
/// the cancellation.
struct OrdersPolicy: ChoreographyPolicy {
  let commands: ParticipantCommands
  let log: any EventLog

  var name: String { "choreography-orders.v1" }

  func key(for event: Recorded) -> String? {
    guard event.isChoreographed else { return nil }
    switch (event.stream.category, event.type) {
    case (Orders.category, OrderCancellationRequested.type),
      (Orders.category, OrderConfirmed.type):
      return event.stream.id
    case (Payments.category, PaymentProcessed.type), (Payments.category, PaymentFailed.type):
      return event.data["order_id"]?.stringValue
    case (Inventory.category, StockUnavailable.type) where event.isAnswer(to: .reserve, .forward):
      return event.data["order_id"]?.stringValue
    default: return nil
    }
  }

  func handle(_ event: Recorded) async throws {
    guard key(for: event) != nil, let (order, status) = try await commands.order(of: event) else {
      return
    }
    switch event.type {
    case PaymentProcessed.type: try await confirm(order, event)
    case OrderConfirmed.type:
      // Best effort: an order stands whether its message leaves or not.
      if status == .confirmed { try await commands.notify(order, causedBy: event) }
    default:
      if let failure = try SagaFailure(ending: event) {
        try await commands.cancel(order, because: failure, causedBy: event)
      }
    }
  }

  /// Refused for an order that is cancelled; what was paid for it is then being given back.
  private func confirm(_ order: SagaOrder, _ event: Recorded) async throws {
    // The payments participant pays for what is held; who pays by hand may be too early.
    if !isPaidByParticipant(order, event) {
      guard try await isReserved(order) else { return }
    }
    _ = try await commands.request(.confirm, of: order, causedBy: event)
  }

  private func isPaidByParticipant(_ order: SagaOrder, _ event: Recorded) -> Bool {
    let effect = OrderFulfilment.effectID(order.id, .pay, .forward)
    return CommandID.all(ofEffect: effect)
      .contains { event.header.context.causationID == Recorded.eventID(command: $0, index: 0) }
  }

  private func isReserved(_ order: SagaOrder) async throws -> Bool {
    let effect = OrderFulfilment.effectID(order.id, .reserve, .forward)
    for id in CommandID.all(ofEffect: effect) {
      guard let commit = try await log.commit(of: id) else { continue }
      return commit.events.first?.type == StockReserved.type
    }
    return false
  }
}

extension SagaFailure {
  /// Why an event ends its order; nil for one that does not.
  fileprivate init?(ending event: Recorded) throws {
    switch event.type {
    case OrderCancellationRequested.type:
      self.init(code: "CUSTOMER_REQUEST", reason: try event.data.string("reason"))
    case PaymentFailed.type:
      let failed = try PaymentFailed(fields: Payments.currentData(of: event))
      self.init(code: failed.errorCode, reason: failed.failureReason)
    case StockUnavailable.type:
      self.init(code: "OUT_OF_STOCK", reason: try event.data.string("reason"))
    default: return nil
    }
  }
}
