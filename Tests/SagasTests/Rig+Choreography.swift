import Commerce
import EventSourcing
import Sagas
import Testing

extension Rig {
  /// A shop whose orders are choreographed.
  static func choreographed(
    stock: Int64 = 10, gateway: FakeGateway = FakeGateway()
  ) async throws -> Rig {
    var rig = try await Rig(stock: stock, gateway: gateway)
    rig.saga = .choreographed
    return rig
  }

  /// Places an order, waits until nobody has anything left to do, and answers what happened.
  func carryOut(
    _ lines: [OrderLine] = [(ProductID(1), 1)]
  ) async throws -> (order: OrderID, history: [String]) {
    try await running { subscriptions in
      let order = try await place(lines)
      try await waitUntilQuiet(subscriptions)
      try LogInvariants.check(try await events())
      return (order, try await history(of: order))
    }
  }

  func status(of order: OrderID) async throws -> OrderStatus? {
    Orders.state(after: try await log.stream(Orders.stream(order.text)).map(Orders.decode)).status
  }

  /// The code that an order was cancelled with.
  func cancellationCode(of order: OrderID) async throws -> String? {
    try await log.stream(Orders.stream(order.text)).last { $0.type == "OrderCancelled" }?
      .data["code"]?.stringValue
  }
}
