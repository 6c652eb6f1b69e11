import Commerce
import EventSourcing

/// Takes the payment of an order whose stock is held, and gives it back when the order is
/// cancelled, also when nobody knows yet whether it was charged.
struct PaymentsPolicy: ChoreographyPolicy {
  let commands: ParticipantCommands

  var name: String { "choreography-payments.v1" }

  func key(for event: Recorded) -> String? {
    guard event.isChoreographed else { return nil }
    switch (event.stream.category, event.type) {
    case (Orders.category, OrderCancelled.type): return event.stream.id
    case (Inventory.category, StockReserved.type) where event.isAnswer(to: .reserve, .forward):
      return event.data["order_id"]?.stringValue
    default: return nil
    }
  }

  func handle(_ event: Recorded) async throws {
    guard key(for: event) != nil, let (order, status) = try await commands.order(of: event) else {
      return
    }
    switch event.type {
    case StockReserved.type: try await pay(order, status, event)
    case OrderCancelled.type:
      try await commands.undo(
        .pay, of: order, because: SagaFailure(cancellation: event), causedBy: event)
    default: break
    }
  }

  private func pay(_ order: SagaOrder, _ status: OrderStatus, _ event: Recorded) async throws {
    switch status {
    case .cancelling, .cancelled:
      // It would have to be given back at once. Should this look have missed the cancellation, the
      // refund that it leads to comes later in this lane or has left its tombstone already.
      return
    case .initiated, .confirmed: break
    }
    switch try await commands.request(.pay, of: order, causedBy: event) {
    case .done, .refused: break
    case .nothingToDo: try await confirmIfPaid(order, event)
    }
  }

  /// Somebody pays by hand. The outcome moves the order on when it comes, but one that was there
  /// before the stock was held had to wait for this moment.
  private func confirmIfPaid(_ order: SagaOrder, _ event: Recorded) async throws {
    let payment = try await commands.shop.payments.state(of: order.id.paymentID.text).state
    guard payment.status == .processed else { return }
    _ = try await commands.request(.confirm, of: order, causedBy: event)
  }
}
