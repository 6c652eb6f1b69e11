import Commerce
import EventSourcing
import Sagas
import Testing

@Suite("A choreographed order, cancelled by the customer at every moment")
struct ChoreographyCancellationTests {
  /// The customer cancels just before a participant sends this command.
  struct Moment: Sendable, CustomTestStringConvertible {
    var command: String
    var declining: String?

    var testDescription: String { "before \(command)\(declining.map { ", \($0)" } ?? "")" }
  }

  static let moments = [
    Moment(command: "ReserveStock"), Moment(command: "TakePayment"),
    Moment(command: "TakePayment", declining: "EXPIRED_CARD"), Moment(command: "ConfirmOrder"),
    Moment(command: "RequestNotification"),
    Moment(command: "CancelOrder", declining: "CARD_DECLINED"),
    Moment(command: "ReleaseStock", declining: "CARD_DECLINED"),
  ]

  static let commandsOfOrders: Set = ["ConfirmOrder", "RequestNotification", "CancelOrder"]

  @Test("everything that was done is undone, once", arguments: moments, [true, false])
  func cancelled(_ moment: Moment, waitsForTheEnd: Bool) async throws {
    var rig = try await Rig.choreographed(gateway: FakeGateway(declining: moment.declining))
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == moment.command else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      for _ in 0..<2 {
        _ = try await front.shop.cancelOrder(
          order, reason: "changed my mind", context: front.context())
      }
      // So that this command comes after the cancellation; otherwise they race. The participant
      // that cancels does one thing after the other.
      guard waitsForTheEnd, !Self.commandsOfOrders.contains(command.name) else { return }
      try await poll("the order is cancelled") {
        try await front.status(of: order) == .cancelled
      }
    }
    let (order, history) = try await rig.carryOut()
    #expect(try await rig.status(of: order) == .cancelled)
    #expect(history.count { $0 == "OrderCancelled" } == 1)
    #expect(try await rig.stock(1) == (10, 0))
    let ledger = rig.gateway.ledger
    #expect(ledger.charges.count == ledger.refunds.count)
    let code = try await rig.cancellationCode(of: order)
    #expect(code == "CUSTOMER_REQUEST" || code == moment.declining)
  }

  @Test("before anybody has done anything: held and freed again, nobody is charged")
  func atOnce() async throws {
    let rig = try await Rig.choreographed()
    let order = try await rig.place()
    _ = try await rig.shop.cancelOrder(order, reason: "no more", context: rig.context())
    try await rig.running { try await rig.waitUntilQuiet($0) }
    try LogInvariants.check(try await rig.events())
    #expect(try await rig.status(of: order) == .cancelled)
    #expect(try await rig.stock(1) == (10, 0))
    #expect(rig.gateway.ledger.charges.isEmpty)
  }

  @Test("while the provider does not answer: cancelled at once, refunded as possibly done")
  func whileCharging() async throws {
    let gateway = FakeGateway(charges: [.unanswered, .lost, .lost], refunds: [.lost])
    var rig = try await Rig.choreographed(gateway: gateway)
    let front = rig
    rig.afterDispatch = { command in
      guard command.name == "TakePayment" else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      _ = try await front.shop.cancelOrder(order, reason: "too slow", context: front.context())
    }
    let (order, _) = try await rig.carryOut()
    #expect(try await rig.status(of: order) == .cancelled)
    #expect(gateway.ledger.charges.count == gateway.ledger.refunds.count)
    #expect(try await rig.stock(1) == (10, 0))
  }

  @Test("after the order was completed: refund and release follow, each once")
  func completed() async throws {
    let rig = try await Rig.choreographed(gateway: FakeGateway(refunds: [.unanswered, .lost]))
    let (order, _) = try await rig.carryOut([(ProductID(1), 2), (ProductID(3), 1)])
    try await rig.running { subscriptions in
      for _ in 0..<2 {
        _ = try await rig.shop.cancelOrder(
          order, reason: "changed my mind", context: rig.context())
      }
      try await rig.waitUntilQuiet(subscriptions)
    }
    try LogInvariants.check(try await rig.events())
    let undone = try await rig.history(of: order).dropFirst(6)
    #expect(undone.prefix(2) == ["OrderCancellationRequested", "OrderCancelled"])
    #expect(
      undone.dropFirst(2).sorted() == ["PaymentRefunded", "StockReleased", "StockReleased"])
    let cancelled = try await rig.events().last { $0.type == "OrderCancelled" }
    #expect(cancelled?.data["was_confirmed"] == true)
    #expect(rig.gateway.ledger.refunds.count == 1)
    #expect(try await rig.stock(1) == (10, 0))
  }
}
