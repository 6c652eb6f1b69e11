import Commerce
import EventSourcing

/// Holds the stock of an order that is placed, and frees it when the order is cancelled.
///
/// An order's events come in order, so that the reservation has been tried before it is undone.
struct InventoryPolicy: ChoreographyPolicy {
  let commands: ParticipantCommands

  var name: String { "choreography-inventory.v1" }

  func key(for event: Recorded) -> String? {
    guard event.stream.category == Orders.category, event.isChoreographed else { return nil }
    switch event.type {
    case OrderInitiated.type, OrderCancelled.type: return event.stream.id
    default: return nil
    }
  }

  func handle(_ event: Recorded) async throws {
    guard key(for: event) != nil, let (order, _) = try await commands.order(of: event) else {
      return
    }
    switch event.type {
    case OrderInitiated.type: try await reserve(order, event)
    case OrderCancelled.type:
      try await commands.undo(
        .reserve, of: order, because: SagaFailure(cancellation: event), causedBy: event)
    default: break
    }
  }

  private func reserve(_ order: SagaOrder, _ event: Recorded) async throws {
    switch try await commands.request(.reserve, of: order, causedBy: event) {
    case .done, .refused: break
    case .nothingToDo:
      // All of it was held by hand, so no event will ever tell the others to go on.
      try await commands.cancel(
        order,
        because: SagaFailure(
          code: "ALREADY_HELD", reason: "the order's stock was held by hand before it was placed"),
        causedBy: event)
    }
  }
}

extension SagaFailure {
  /// Why an order was cancelled.
  init?(cancellation event: Recorded) {
    guard let cancelled = try? OrderCancelled(fields: Orders.currentData(of: event)) else {
      return nil
    }
    self.init(code: cancelled.code, reason: cancelled.reason)
  }
}
