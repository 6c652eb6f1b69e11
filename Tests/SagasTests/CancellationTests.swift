import Commerce
import EventSourcing
import Sagas
import Testing

@Suite("Cancelled by the customer at every stage")
struct CancellationTests {
  /// The customer cancels just before the saga sends this command.
  struct Moment: Sendable, CustomTestStringConvertible {
    var command: String
    var gateway: @Sendable () -> FakeGateway = { FakeGateway() }
    var history: [String]

    var testDescription: String { "before \(command)" }
  }

  static let asked = "OrderCancellationRequested"
  static let moments: [Moment] = [
    Moment(
      command: "ReserveStock",
      history: ["OrderInitiated", asked, "StockReserved", "StockReleased", "OrderCancelled"]),
    Moment(
      command: "TakePayment",
      history: [
        "OrderInitiated", "StockReserved", asked, "PaymentProcessed", "PaymentRefunded",
        "StockReleased", "OrderCancelled",
      ]),
    Moment(
      command: "TakePayment", gateway: { FakeGateway(declining: "EXPIRED_CARD") },
      history: [
        "OrderInitiated", "StockReserved", asked, "PaymentFailed", "StockReleased",
        "OrderCancelled",
      ]),
    Moment(
      command: "ConfirmOrder",
      history: [
        "OrderInitiated", "StockReserved", "PaymentProcessed", asked, "OrderConfirmed",
        "PaymentRefunded", "StockReleased", "OrderCancelled",
      ]),
    Moment(
      command: "ReleaseStock", gateway: { FakeGateway(declining: "CARD_DECLINED") },
      history: [
        "OrderInitiated", "StockReserved", "PaymentFailed", asked, "StockReleased",
        "OrderCancelled",
      ]),
    Moment(
      command: "CancelOrder", gateway: { FakeGateway(declining: "CARD_DECLINED") },
      history: [
        "OrderInitiated", "StockReserved", "PaymentFailed", "StockReleased", asked,
        "OrderCancelled",
      ]),
  ]

  @Test("exactly what was done is undone, in reverse order", arguments: moments)
  func cancelled(_ moment: Moment) async throws {
    var rig = try await Rig(gateway: moment.gateway())
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == moment.command else { return }
      try await Self.cancelTwice(command, front)
    }
    try await rig.running { [rig] subscriptions in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .compensated)
      try await rig.waitUntilQuiet(subscriptions)
      #expect(try await rig.history(of: order) == moment.history)
      #expect(try await rig.stock(1) == (10, 0))
      let ledger = rig.gateway.ledger
      #expect(ledger.charges.count == ledger.refunds.count)
    }
  }

  @Test("while the buyer is being told, the confirmed order is undone like a completed one")
  func whileNotifying() async throws {
    var rig = try await Rig()
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == "RequestNotification" else { return }
      try await Self.cancelTwice(command, front)
    }
    try await rig.running { [rig] _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .compensated)
      let undone = try await rig.history(of: order).filter { $0 != "NotificationSent" }
      #expect(
        undone == [
          "OrderInitiated", "StockReserved", "PaymentProcessed", "OrderConfirmed", Self.asked,
          "PaymentRefunded", "StockReleased", "OrderCancelled",
        ])
    }
  }

  @Test("after the saga has completed: refund, release, cancel")
  func completed() async throws {
    let rig = try await Rig(gateway: FakeGateway(refunds: [.unanswered, .lost]))
    try await rig.running { subscriptions in
      let order = try await rig.place([(ProductID(1), 2), (ProductID(3), 1)])
      try await rig.waitUntil(order, is: .completed)
      for _ in 0..<2 {
        _ = try await rig.shop.cancelOrder(
          order, reason: "changed my mind", context: rig.context())
      }
      try await rig.waitUntil(order, is: .compensated)
      try await rig.waitUntilQuiet(subscriptions)
      #expect(
        try await rig.history(of: order).suffix(5) == [
          Self.asked, "PaymentRefunded", "StockReleased", "StockReleased", "OrderCancelled",
        ])
      let cancelled = try await rig.events().last { $0.type == "OrderCancelled" }
      #expect(cancelled?.data["was_confirmed"] == true)
      #expect(cancelled?.data["code"] == "CUSTOMER_REQUEST")
      #expect(rig.gateway.ledger.refunds.count == 1)
      #expect(try await rig.stock(1) == (10, 0))
    }
  }

  private static func cancelTwice(_ command: OutgoingCommand, _ rig: Rig) async throws {
    let order = try #require(OrderID(command.payload.string("order_id")))
    for _ in 0..<2 {
      _ = try await rig.shop.cancelOrder(order, reason: "changed my mind", context: rig.context())
    }
  }
}
