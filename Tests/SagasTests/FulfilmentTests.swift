import Commerce
import EventSourcing
import Sagas
import Testing

@Suite("Orders from the first event to the last")
struct FulfilmentTests {
  static let happy = [
    "OrderInitiated", "StockReserved", "PaymentProcessed", "OrderConfirmed", "NotificationSent",
  ]

  @Test("a paid order of several lines is confirmed and its buyer is told")
  func success() async throws {
    let rig = try await Rig()
    try await rig.running { _ in
      let order = try await rig.place([(ProductID(1), 2), (ProductID(2), 1), (ProductID(1), 1)])
      try await rig.waitUntil(order, is: .completed)
      #expect(
        try await rig.history(of: order) == [
          "OrderInitiated", "StockReserved", "StockReserved", "PaymentProcessed",
          "OrderConfirmed", "NotificationSent",
        ])
      #expect(try await rig.stock(1) == (7, 3))
      #expect(try await rig.stock(2) == (9, 1))
      let charges = rig.gateway.ledger.charges
      #expect(charges == ["\(order)/pay/forward/1": Money(minorUnits: 79_996, currency: .cad)])
    }
  }

  @Test("what the saga does keeps the correlation of the order and names its cause")
  func causation() async throws {
    let rig = try await Rig()
    try await rig.running { _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .completed)
      let events = try await rig.events().filter { $0.data["order_id"] == .string(order.text) }
      let placed = try #require(events.first)
      #expect(events.allSatisfy { $0.correlationID == placed.correlationID })
      let known = Set(events.map(\.eventID))
      #expect(
        events.dropFirst().allSatisfy {
          $0.header.context.causationID.map(known.contains) == true
        })
    }
  }

  @Test("one short line: nothing is held, nothing is charged, the order is cancelled")
  func outOfStock() async throws {
    let rig = try await Rig(stock: 5)
    try await rig.running { _ in
      let order = try await rig.place([(ProductID(1), 2), (ProductID(2), 6)])
      try await rig.waitUntil(order, is: .compensated)
      let history = try await rig.history(of: order)
      #expect(history == ["OrderInitiated", "StockUnavailable", "OrderCancelled"])
      let cancelled = try await rig.events().last { $0.type == "OrderCancelled" }
      #expect(cancelled?.data["code"] == "OUT_OF_STOCK")
      #expect(try await rig.stock(1) == (5, 0))
      #expect(rig.gateway.ledger.chargeRequests == 0)
    }
  }

  @Test("a declined card releases the stock and cancels the order with the bank's code")
  func declined() async throws {
    let rig = try await Rig(gateway: FakeGateway(declining: "CARD_DECLINED"))
    try await rig.running { _ in
      let order = try await rig.place([(ProductID(1), 2), (ProductID(2), 1)])
      try await rig.waitUntil(order, is: .compensated)
      #expect(
        try await rig.history(of: order) == [
          "OrderInitiated", "StockReserved", "StockReserved", "PaymentFailed", "StockReleased",
          "StockReleased", "OrderCancelled",
        ])
      let cancelled = try await rig.events().last { $0.type == "OrderCancelled" }
      #expect(cancelled?.data["code"] == "CARD_DECLINED")
      #expect(cancelled?.data["was_confirmed"] == false)
      #expect(try await rig.stock(1) == (10, 0))
    }
  }

  // MARK: The provider

  @Test("a provider that comes back before the deadline costs nothing but time")
  func deadThenBack() async throws {
    let rig = try await Rig(
      gateway: FakeGateway(charges: [.notSent, .lost, .notSent, .lost, .answer]))
    try await rig.running { _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .completed)
      #expect(try await rig.history(of: order) == Self.happy)
      #expect(rig.gateway.ledger.chargeRequests == 5)
    }
  }

  @Test("a charge whose answer was lost is asked for again, and made once")
  func chargedOnce() async throws {
    let rig = try await Rig(gateway: FakeGateway(charges: [.unanswered, .unanswered]))
    try await rig.running { _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .completed)
      #expect(try await rig.history(of: order) == Self.happy)
      #expect(rig.gateway.ledger.charges.count == 1)
      #expect(rig.gateway.ledger.chargeRequests == 3)
    }
  }

  @Test(
    "a provider dead until the deadline: the order waits, until it says that it never will charge")
  func deadUntilDeadline() async throws {
    let gateway = FakeGateway()
    gateway.setDead(true)
    let rig = try await Rig(gateway: gateway)
    try await rig.running { _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .compensationBlocked)
      let open = ["OrderInitiated", "StockReserved", "PaymentFailed", "StockReleased"]
      #expect(try await rig.history(of: order) == open)
      #expect(try await rig.stock(1) == (10, 0))
      let failed = try await rig.events().last { $0.type == "PaymentFailed" }
      #expect(failed?.data["error_code"] == "PAYMENT_UNAVAILABLE")
      #expect(failed?.data["possibly_charged"] == true)

      gateway.setDead(false)
      try await rig.waitUntil(order, is: .compensated)
      #expect(try await rig.history(of: order) == open + ["PaymentVoided", "OrderCancelled"])
      #expect(gateway.ledger.charges.isEmpty)
      #expect(gateway.ledger.tombstones == ["\(order)/pay/forward/1"])
    }
  }

  @Test("possibly charged: the order is not called cancelled while its money may be away")
  func possiblyCharged() async throws {
    let acts = Array(repeating: FakeGateway.Act.unanswered, count: 1000)
    let gateway = FakeGateway(
      charges: acts, refunds: [.lost, .unanswered, .lost], questions: [.lost])
    gateway.setRefundsDead(true)
    let rig = try await Rig(gateway: gateway)
    try await rig.running { _ in
      let order = try await rig.place()
      // No answer in time: a person is asked, the stock is free again.
      try await rig.waitUntil(order, is: .compensationBlocked)
      let open = ["OrderInitiated", "StockReserved", "PaymentFailed", "StockReleased"]
      #expect(try await rig.history(of: order) == open)
      #expect(try await rig.stock(1) == (10, 0))
      let failed = try await rig.events().last { $0.type == "PaymentFailed" }
      #expect(failed?.data["possibly_charged"] == true)

      gateway.setRefundsDead(false)
      try await rig.waitUntil(order, is: .compensated)
      #expect(try await rig.history(of: order) == open + ["PaymentRefunded", "OrderCancelled"])
      #expect(gateway.ledger.charges.count == 1)
      #expect(gateway.ledger.refunds.count == 1)
    }
  }

  @Test("possibly charged but not: the provider is asked until it says so, then the saga ends")
  func voided() async throws {
    let acts = Array(repeating: FakeGateway.Act.lost, count: 1000)
    let gateway = FakeGateway(charges: acts)
    let rig = try await Rig(gateway: gateway)
    try await rig.running { _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .compensated)
      #expect(try await rig.history(of: order).contains("PaymentVoided"))
      #expect(gateway.ledger.charges.isEmpty)
      #expect(gateway.ledger.tombstones == ["\(order)/pay/forward/1"])
    }
  }

  // MARK: Payment by hand

  @Test("paid by hand before the stock is reserved: charged once and confirmed")
  func paidByHand() async throws {
    var rig = try await Rig()
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == "ReserveStock" else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      _ = try? await front.shop.payOrder(
        order, amount: Rig.price.amount, paymentMethod: "cash", context: front.context())
      try await poll("the payment by hand is processed") {
        try await front.events().contains { $0.type == "PaymentProcessed" }
      }
    }
    try await rig.running { [rig] _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .completed)
      #expect(rig.gateway.ledger.charges.count == 1)
      let requests = try await rig.events().filter { $0.type == "PaymentInitiated" }
      #expect(requests.map { $0.data["payment_method"] } == ["cash"])
    }
  }

  @Test("paid by hand and then out of stock: refunded, then cancelled")
  func paidByHandOutOfStock() async throws {
    var rig = try await Rig(stock: 1)
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == "ReserveStock" else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      _ = try? await front.shop.payOrder(
        order, amount: FixedDecimal(unscaled: 39_998, scale: 2), paymentMethod: "cash",
        context: front.context())
    }
    try await rig.running { [rig] _ in
      let order = try await rig.place([(ProductID(1), 2)])
      try await rig.waitUntil(order, is: .compensated)
      let ledger = rig.gateway.ledger
      #expect(ledger.charges.count == ledger.refunds.count)
      #expect(ledger.charges.count + ledger.tombstones.count == 1)
    }
  }

  // MARK: Concurrency

  @Test("200 orders at once for the last 10 pieces: 10 confirmed, 190 cancelled, none over")
  func lastPieces() async throws {
    let rig = try await Rig(stock: 10)
    try await rig.running { _ in
      let orders = try await withThrowingTaskGroup(of: OrderID.self) { group in
        for _ in 0..<200 { group.addTask { try await rig.place() } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      try await poll("every saga has ended") {
        let ends = try await rig.events().filter {
          $0.type == "SagaCompleted" || $0.type == "SagaCompensated"
        }
        return ends.count == orders.count
      }
      let events = try await rig.events()
      #expect(events.count { $0.type == "OrderConfirmed" } == 10)
      #expect(events.count { $0.type == "OrderCancelled" } == 190)
      #expect(try await rig.stock(1) == (0, 10))
      let stock = Inventory.state(
        after: try await rig.log.stream(Inventory.stream("1")).map(Inventory.decode))
      for order in orders {
        let isConfirmed = try await rig.stage(of: order) == .completed
        #expect(stock.held(for: order).isEmpty == !isConfirmed)
      }
      #expect(rig.gateway.ledger.charges.count == 10)
    }
  }
}
