import Commerce
import EventSourcing
import Sagas
import Testing

@Suite("The choreographed order")
struct ChoreographyTests {
  static let happy = [
    "OrderInitiated", "StockReserved", "PaymentProcessed", "OrderConfirmed", "NotificationSent",
  ]

  @Test("reserved, paid, confirmed and told, without any saga")
  func success() async throws {
    let rig = try await Rig.choreographed()
    let (order, history) = try await rig.carryOut([(ProductID(1), 2), (ProductID(2), 1)])
    #expect(
      history == [
        "OrderInitiated", "StockReserved", "StockReserved", "PaymentProcessed", "OrderConfirmed",
        "NotificationSent",
      ])
    #expect(try await rig.stock(1) == (8, 2))
    #expect(rig.gateway.ledger.charges.keys.sorted() == ["\(order)/pay/forward/1"])
    #expect(try await rig.log.version(of: OrderFulfilment.stream(order.sagaID)) == .none)
    // Nor is it looked for: no event of the order concerns it.
    let ofSagas = try await rig.events().filter { OrderFulfilment.sagaID(for: $0) != nil }
    #expect(ofSagas.isEmpty)
  }

  @Test("has the command ids and the payloads of the orchestrated one")
  func sameCommands() async throws {
    let rig = try await Rig.choreographed()
    let (order, _) = try await rig.carryOut()
    for (step, type) in [
      (OrderFulfilment.Step.reserve, "StockReserved"), (.pay, "PaymentInitiated"),
      (.confirm, "OrderConfirmed"), (.notify, "NotificationRequested"),
    ] {
      let effect = OrderFulfilment.effectID(order, step, .forward)
      let commit = try #require(try await rig.log.commit(of: CommandID(effect: effect)))
      #expect(commit.events.map(\.type) == [type])
      #expect(commit.header.context.metadata["saga"] == "choreographed")
    }
  }

  @Test("beside an orchestrated one: each is carried out once, by its own")
  func besideOrchestrated() async throws {
    var rig = try await Rig.choreographed()
    let choreographed = try await rig.place()
    rig.saga = .orchestrated
    let (orchestrated, _) = try await rig.carryOut()
    #expect(try await rig.history(of: choreographed) == Self.happy)
    #expect(try await rig.history(of: orchestrated) == Self.happy)
    let marked = try await rig.events().filter {
      $0.header.context.metadata["saga"] == "choreographed"
    }
    #expect(marked.allSatisfy { $0.data["order_id"] == .string(choreographed.text) })
  }

  @Test("out of stock: cancelled, nothing held")
  func outOfStock() async throws {
    let rig = try await Rig.choreographed(stock: 3)
    let (order, history) = try await rig.carryOut([(ProductID(1), 2), (ProductID(2), 4)])
    #expect(history.prefix(3) == ["OrderInitiated", "StockUnavailable", "OrderCancelled"])
    #expect(try await rig.cancellationCode(of: order) == "OUT_OF_STOCK")
    #expect(try await rig.stock(1) == (3, 0))
    #expect(rig.gateway.ledger.chargeRequests == 0)
  }

  @Test("a declined card cancels the order with the bank's code and frees the stock")
  func declined() async throws {
    let rig = try await Rig.choreographed(gateway: FakeGateway(declining: "CARD_DECLINED"))
    let (order, history) = try await rig.carryOut()
    #expect(
      history == [
        "OrderInitiated", "StockReserved", "PaymentFailed", "OrderCancelled", "StockReleased",
      ])
    #expect(try await rig.cancellationCode(of: order) == "CARD_DECLINED")
    #expect(try await rig.stock(1) == (10, 0))
    #expect(rig.gateway.ledger.refundRequests == 0)
  }

  @Test(
    "a provider dead until the deadline: its payment is open until it says that it never will charge"
  )
  func providerDead() async throws {
    let gateway = FakeGateway()
    gateway.setDead(true)
    let rig = try await Rig.choreographed(gateway: gateway)
    try await rig.running { subscriptions in
      let order = try await rig.place()
      try await poll("the stock is free and the refund asked for") {
        let types = try await rig.events().map(\.type)
        return Set(types).isSuperset(of: ["StockReleased", "PaymentRefundRequested"])
      }
      #expect(try await rig.cancellationCode(of: order) == "PAYMENT_UNAVAILABLE")
      #expect(try await rig.stock(1) == (10, 0))
      #expect(try await !rig.history(of: order).contains("PaymentVoided"))

      gateway.setDead(false)
      try await rig.waitUntilQuiet(subscriptions)
      #expect(try await rig.history(of: order).contains("PaymentVoided"))
      #expect(gateway.ledger.charges.isEmpty)
      #expect(gateway.ledger.tombstones == ["\(order)/pay/forward/1"])
      try LogInvariants.check(try await rig.events())
    }
  }

  @Test("possibly charged: the refund is asked for until the provider answers, and made once")
  func possiblyCharged() async throws {
    let acts = Array(repeating: FakeGateway.Act.unanswered, count: 1000)
    let gateway = FakeGateway(
      charges: acts, refunds: [.lost, .unanswered, .lost], questions: [.lost])
    let rig = try await Rig.choreographed(gateway: gateway)
    let (order, history) = try await rig.carryOut()
    #expect(history.last == "PaymentRefunded" || history.last == "StockReleased")
    #expect(Set(history).isSuperset(of: ["PaymentRefunded", "StockReleased", "OrderCancelled"]))
    #expect(try await rig.status(of: order) == .cancelled)
    #expect(gateway.ledger.charges.count == 1)
    #expect(gateway.ledger.refunds.count == 1)
  }

  @Test("possibly charged but not: the provider says so, and would refuse a late charge")
  func voided() async throws {
    let acts = Array(repeating: FakeGateway.Act.lost, count: 1000)
    let rig = try await Rig.choreographed(gateway: FakeGateway(charges: acts))
    let (order, history) = try await rig.carryOut()
    #expect(history.contains("PaymentVoided"))
    #expect(rig.gateway.ledger.tombstones == ["\(order)/pay/forward/1"])
  }

  // MARK: Refusals

  @Test(
    "a refused step cancels the order and undoes what was done",
    arguments: [
      ("ReserveStock", "RESERVATION_REFUSED"), ("TakePayment", "PAYMENT_REFUSED"),
      ("ConfirmOrder", "CONFIRMATION_REFUSED"),
    ])
  func refused(command: String, code: String) async throws {
    var rig = try await Rig.choreographed()
    rig.beforeDispatch = {
      if $0.name == command { throw CommandRefused(reason: "it is Sunday") }
    }
    let (order, _) = try await rig.carryOut()
    #expect(try await rig.cancellationCode(of: order) == code)
    #expect(try await rig.stock(1) == (10, 0))
    let ledger = rig.gateway.ledger
    #expect(ledger.charges.count == ledger.refunds.count)
  }

  @Test("a message that is refused changes nothing for the order")
  func refusedMessage() async throws {
    var rig = try await Rig.choreographed()
    rig.beforeDispatch = {
      if $0.name == "RequestNotification" { throw CommandRefused(reason: "no such address") }
    }
    let (order, history) = try await rig.carryOut()
    #expect(history == Self.happy.dropLast())
    #expect(try await rig.status(of: order) == .confirmed)
  }

  @Test("stock that was held by hand before the order came cancels it, and is freed")
  func heldByHand() async throws {
    let rig = try await Rig.choreographed()
    let command = CommandID(derivedFrom: "early")
    try await rig.shop.changeStock(
      ChangeStock(
        product: ProductID(1), quantityChange: 1, operation: .reserve, orderID: OrderID(command)),
      context: rig.context())
    try await rig.running { subscriptions in
      let order = try await rig.shop.placeOrder(
        PlaceOrder(userID: Rig.customer, items: [(ProductID(1), 1)], saga: .choreographed),
        context: rig.context(command)
      ).orderID
      try await rig.waitUntilQuiet(subscriptions)
      #expect(try await rig.cancellationCode(of: order) == "ALREADY_HELD")
      #expect(try await rig.stock(1) == (10, 0))
    }
  }

  // MARK: Payment by hand

  @Test("paid by hand before the stock is held: charged once, confirmed when it is held")
  func paidByHand() async throws {
    var rig = try await Rig.choreographed()
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
    let (_, history) = try await rig.carryOut()
    #expect(
      history == [
        "OrderInitiated", "PaymentProcessed", "StockReserved", "OrderConfirmed",
        "NotificationSent",
      ])
    #expect(rig.gateway.ledger.charges.count == 1)
  }

  @Test("paid by hand while the stock is held: confirmed once")
  func paidByHandAfterwards() async throws {
    var rig = try await Rig.choreographed()
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == "TakePayment" else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      _ = try? await front.shop.payOrder(
        order, amount: Rig.price.amount, paymentMethod: "cash", context: front.context())
    }
    let (_, history) = try await rig.carryOut()
    #expect(history == Self.happy)
    let requests = try await rig.events().filter { $0.type == "PaymentInitiated" }
    #expect(requests.map { $0.data["payment_method"] } == ["cash"])
  }

  @Test("paid by hand and then out of stock: cancelled and given back")
  func paidByHandOutOfStock() async throws {
    var rig = try await Rig.choreographed(stock: 1)
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == "ReserveStock" else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      _ = try? await front.shop.payOrder(
        order, amount: FixedDecimal(unscaled: 39_998, scale: 2), paymentMethod: "cash",
        context: front.context())
    }
    let (order, _) = try await rig.carryOut([(ProductID(1), 2)])
    #expect(try await rig.cancellationCode(of: order) == "OUT_OF_STOCK")
    let ledger = rig.gateway.ledger
    #expect(ledger.charges.count == ledger.refunds.count)
    #expect(ledger.charges.count + ledger.tombstones.count == 1)
  }

  // MARK: Concurrency

  @Test("100 orders at once for the last 10 pieces: 10 confirmed, 90 cancelled, none over")
  func lastPieces() async throws {
    let rig = try await Rig.choreographed(stock: 10)
    try await rig.running { subscriptions in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<100 { group.addTask { try await rig.place() } }
        try await group.waitForAll()
      }
      try await rig.waitUntilQuiet(subscriptions)
    }
    let events = try await rig.events()
    try LogInvariants.check(events)
    #expect(events.count { $0.type == "OrderConfirmed" } == 10)
    #expect(events.count { $0.type == "OrderCancelled" } == 90)
    #expect(try await rig.stock(1) == (0, 10))
    #expect(rig.gateway.ledger.charges.count == 10)
  }
}
