import Commerce
import EventSourcing
import Testing

/// What must be true of orders at every prefix of a log.
///
/// A choreographed order is cancelled before its participants hear of it: that it then holds no
/// stock and no money is true at the end only, and is checked there.
struct LogInvariants {
  private struct OrderFacts {
    var holds: [String: Int64] = [:]
    var captures = 0
    var refunds = 0
    var isConfirmed = false
    var isCancelled = false
    var effects: Set<String> = []
    var hasEnded = false
    var isChoreographed = false
  }

  private var orders: [String: OrderFacts] = [:]

  static func check(_ events: [Recorded]) throws {
    var invariants = LogInvariants()
    for event in events { try invariants.take(event) }
    for (id, order) in invariants.orders where order.isCancelled {
      invariants.expectUndone(order, id)
    }
  }

  private mutating func take(_ event: Recorded) throws {
    guard let id = event.data["order_id"]?.stringValue else { return }
    var order = orders[id] ?? OrderFacts()
    let product = event.stream.id
    let quantity = event.data["quantity"]?.integerValue ?? 0
    switch event.type {
    case "OrderInitiated": order.isChoreographed = event.data["saga"] == "choreographed"
    case "StockReserved": order.holds[product, default: 0] += quantity
    case "StockReleased": order.holds[product, default: 0] -= quantity
    case "PaymentProcessed": order.captures += 1
    case "PaymentRefunded": order.refunds += 1
    case "OrderConfirmed": order.isConfirmed = true
    case "OrderCancelled":
      #expect(!order.isCancelled, "\(id) is cancelled twice")
      order.isCancelled = true
    case "SagaCompleted", "SagaCompensated":
      #expect(event.type == "SagaCompensated" || !order.hasEnded, "\(id) ends twice")
      order.hasEnded = true
    default: break
    }
    for command in try OutgoingCommand.commands(in: event) {
      let isNew = order.effects.insert(command.effectID).inserted
      #expect(isNew, "\(command.effectID) is asked for twice")
    }
    #expect(order.holds.values.allSatisfy { $0 >= 0 }, "\(id) releases more than it held")
    #expect(order.captures <= 1, "\(id) is captured twice")
    if order.isCancelled {
      if !order.isChoreographed { expectUndone(order, id) }
    } else if order.isConfirmed, order.refunds == 0 {
      #expect(order.captures == 1, "\(id) is confirmed and not paid")
    }
    orders[id] = order
  }

  private func expectUndone(_ order: OrderFacts, _ id: String) {
    #expect(order.holds.values.allSatisfy { $0 == 0 }, "\(id) is cancelled and holds stock")
    #expect(order.captures <= order.refunds, "\(id) is cancelled and keeps the money")
  }
}
