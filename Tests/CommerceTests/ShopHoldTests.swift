import Commerce
import EventSourcing
import Testing

@Suite("Expired holds, through the front door")
struct ShopHoldTests {
  private static let coffee = Samples.coffee
  private static let end = Samples.now.adding(seconds: 60)
  private let early = end.adding(milliseconds: -1)

  private func order(_ number: Int) -> OrderID {
    OrderID(CommandID(derivedFrom: "holder \(number)"))
  }

  private func reserve(
    _ order: OrderID, _ lines: [OrderLine] = [(coffee, 1)], until end: Timestamp? = end,
    at time: Timestamp = Samples.now, in shop: Shop
  ) async throws -> [String] {
    try await shop.reserveStock(
      order: order, lines: lines, expiresAt: end, context: Samples.context(at: time)
    ).commit?.events.map(\.type) ?? []
  }

  /// As ``reserve``, without an end.
  private func take(
    _ order: OrderID, at time: Timestamp = end, in shop: Shop
  ) async throws -> [String] {
    try await reserve(order, until: nil, at: time, in: shop)
  }

  private func pay(
    _ order: OrderID, at time: Timestamp = Samples.now, in shop: Shop
  ) async throws {
    try await shop.takePayment(
      order: order, user: Samples.ada.customerID, amount: Samples.cad(199), method: "card",
      effectID: "\(order)/pay/forward/1", context: Samples.context(at: time))
  }

  /// A shop with so many coffees.
  private func fixture(_ quantity: Int64) async throws -> ShopFixture {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Self.coffee, quantity: quantity, context: Samples.context())
    return fixture
  }

  /// All that was written for an order after the restocking, as stream and type.
  private func history(_ fixture: ShopFixture) async throws -> [[String]] {
    try await fixture.log.read(after: .start, limit: .max / 2).map { commit in
      commit.events.filter { ["inventory", "payments"].contains($0.stream.category) }
        .map(\.type)
    }.filter { !$0.isEmpty && $0 != ["StockRestocked"] }
  }

  @Test("are freed when somebody is short, in one commit with the end of the holder's payment")
  func frees() async throws {
    let fixture = try await fixture(1)
    let shop = fixture.shop
    #expect(try await reserve(order(1), in: shop) == ["StockReserved"])
    #expect(try await take(order(2), at: early, in: shop) == ["StockUnavailable"])
    #expect(try await take(order(3), in: shop) == ["StockReserved"])
    #expect(
      try await history(fixture) == [
        ["StockReserved"], ["StockUnavailable"], ["PaymentVoided", "StockReleased"],
        ["StockReserved"],
      ])
    let freed = try #require(
      try await fixture.log.commit(of: CommandID(derivedFrom: "\(order(1))/hold/expired")))
    #expect(
      freed.events.map(\.stream.description).sorted() == [
        "inventory/1", "payments/\(order(1).paymentID)",
      ])
    #expect(try freed.events.last?.data.string("reason") == "the hold expired")
    // It belongs to the history of the order that lost its hold.
    #expect(CommandID(freed.header.context.correlationID) == CommandID(derivedFrom: "holder 1"))
    try await fixture.expectStockSound()
  }

  @Test("who has lost his hold cannot pay, extend it, or be paid for any more")
  func loses() async throws {
    let fixture = try await fixture(1)
    let loser = order(1)
    _ = try await reserve(loser, in: fixture.shop)
    _ = try await take(order(2), in: fixture.anotherShop())
    for shop in [fixture.shop, fixture.anotherShop()] {
      try await fixture.refuses(PaymentRejection.voided) { try await pay(loser, in: shop) }
      try await fixture.refuses(StockRejection.notHeld(loser)) {
        try await shop.extendHold(
          order: loser, products: [Self.coffee], until: Self.end.adding(seconds: 60),
          context: Samples.context())
      }
      try await fixture.refuses(PaymentRejection.notInitiated) {
        try await shop.paymentSucceeded(
          order: loser, transactionID: "t", context: Samples.context())
      }
    }
    // Its compensation finds nothing to do, and bars what is gone.
    let refund = try await fixture.shop.requestRefund(
      order: loser, effectID: "undo", reason: "lost", context: Samples.context())
    #expect(refund.commit == nil)
    let release = try await fixture.shop.releaseStock(
      order: loser, products: [Self.coffee], reason: "lost", barring: true,
      context: Samples.context())
    #expect(release.commit?.events.map(\.type) == ["StockReservationBarred"])
    try await fixture.expectStockSound()
  }

  @Test("who has begun to pay keeps his hold, however late, and is looked at once")
  func keeps() async throws {
    let fixture = try await fixture(2)
    let shop = fixture.shop
    for holder in 1...2 { _ = try await reserve(order(holder), in: shop) }
    try await pay(order(1), in: fixture.anotherShop())
    #expect(try await take(order(3), in: shop) == ["StockReserved"])
    #expect(try await take(order(4), in: shop) == ["StockUnavailable"])
    #expect(try await take(order(5), in: shop) == ["StockUnavailable"])
    #expect(
      try await history(fixture) == [
        ["StockReserved"], ["StockReserved"], ["PaymentInitiated"], ["StockHoldSecured"],
        ["PaymentVoided", "StockReleased"], ["StockReserved"], ["StockUnavailable"],
        ["StockUnavailable"],
      ])
    try await shop.paymentSucceeded(
      order: order(1), transactionID: "t", context: Samples.context())
    #expect(
      try await shop.inventory.state(of: Self.coffee.text).state.held(for: order(1)).count == 1)
    try await fixture.expectStockSound()
  }

  @Test("are freed also for a reservation by hand, and only as many as are missing")
  func byHand() async throws {
    let fixture = try await fixture(4)
    for holder in 1...3 {
      _ = try await reserve(
        order(holder), until: Self.end.adding(milliseconds: Int64(holder)), in: fixture.shop)
    }
    let later = Self.end.adding(seconds: 60)
    let change = ChangeStock(
      product: Self.coffee, quantityChange: 2, operation: .reserve, orderID: order(9))
    try await fixture.refuses(StockRejection.insufficientStock(requested: 2, available: 1)) {
      try await fixture.shop.changeStock(change, context: Samples.context(at: Self.end))
    }
    let context = Samples.context(at: later)
    let receipt = try await fixture.shop.changeStock(change, context: context)
    #expect(receipt.commit?.events.map(\.type) == ["StockReserved"])
    #expect(try await fixture.shop.changeStock(change, context: context).isRepeated)
    let stock = try await fixture.shop.inventory.state(of: Self.coffee.text).state
    #expect((1...3).map { stock.held(for: order($0)).count } == [0, 1, 1])
    try await fixture.expectStockSound()
  }

  @Test("are freed whole: of all products of the order, those too that nobody is short of")
  func freesWhole() async throws {
    let fixture = try await fixture(1)
    let shop = fixture.shop
    try await shop.restock(Samples.donut, quantity: 9, context: Samples.context())
    let lines: [OrderLine] = [(Self.coffee, 1), (Samples.donut, 2)]
    let id = try await fixture.place(lines).orderID
    _ = try await reserve(id, lines, in: shop)
    #expect(try await take(order(1), in: shop) == ["StockReserved"])
    #expect(
      try await history(fixture).dropFirst() == [
        ["PaymentVoided", "StockReleased", "StockReleased"], ["StockReserved"],
      ])
    try await fixture.expectStockSound()
  }

  @Test("of a payment that is void already are freed without a second end")
  func freesVoided() async throws {
    let fixture = try await fixture(1)
    _ = try await reserve(order(1), in: fixture.shop)
    try await fixture.shop.requestRefund(
      order: order(1), effectID: "undo", reason: "cancelled", context: Samples.context())
    #expect(try await take(order(2), in: fixture.shop) == ["StockReserved"])
    #expect(
      try await history(fixture).suffix(3) == [
        ["PaymentVoided"], ["StockReleased"], ["StockReserved"],
      ])
  }

  @Test("are found behind those of many who have paid, who are then out of the way for ever")
  func findsBehindPaid() async throws {
    let fixture = try await fixture(101)
    for holder in 0...100 {
      _ = try await reserve(
        order(holder), until: Self.end.adding(milliseconds: Int64(holder)), in: fixture.shop)
      if holder < 100 { try await pay(order(holder), in: fixture.shop) }
    }
    let later = Self.end.adding(seconds: 60)
    #expect(try await take(order(200), at: later, in: fixture.shop) == ["StockReserved"])
    #expect(try await take(order(201), at: later, in: fixture.shop) == ["StockUnavailable"])
    let types = try await history(fixture).flatMap { $0 }
    #expect(types.count { $0 == "StockHoldSecured" } == 100)
    #expect(types.count { $0 == "PaymentVoided" } == 1)
    try await fixture.expectStockSound()
  }

  @Test("a hold is extended in one commit over all products of the order, and again for nothing")
  func extends() async throws {
    let fixture = try await fixture(1)
    try await fixture.shop.restock(Samples.donut, quantity: 1, context: Samples.context())
    let products = [Self.coffee, Samples.donut]
    _ = try await reserve(order(1), products.map { ($0, 1) }, in: fixture.shop)
    func extend(_ context: CommitContext = Samples.context()) async throws -> Shop.Receipt {
      try await fixture.shop.extendHold(
        order: order(1), products: products, until: Self.end.adding(seconds: 60),
        context: context)
    }
    let context = Samples.context()
    #expect(
      try await extend(context).commit?.events.map(\.type) == [
        "StockHoldExtended", "StockHoldExtended",
      ])
    #expect(try await extend(context).isRepeated)
    #expect(try await extend().commit == nil)
    #expect(try await take(order(2), in: fixture.shop) == ["StockUnavailable"])
    try await fixture.refuses(StockRejection.notHeld(order(1))) {
      try await fixture.shop.extendHold(
        order: order(1), products: products + [ProductID(3)], until: Self.end,
        context: Samples.context())
    }
    try await fixture.refuses(StockRejection.notHeld(order(1))) {
      _ = try await extend(Samples.context(at: Self.end.adding(seconds: 60)))
    }
  }

  // MARK: Races

  @Test("of a holder who begins to pay and one who is short exactly one wins")
  func raceOfTwo() async throws {
    var wins = (payer: 0, taker: 0)
    for round in 0..<400 {
      let fixture = try await fixture(1)
      let shops = [fixture.shop, round.isMultiple(of: 2) ? fixture.shop : fixture.anotherShop()]
      _ = try await reserve(order(1), in: fixture.shop)
      async let paid = Self.succeeds {
        for _ in 0..<(round % 5) { await Task.yield() }
        try await pay(order(1), at: Self.end, in: shops[0])
      }
      async let taken = take(order(2), in: shops[1])
      switch (try await paid, try await taken) {
      case (true, ["StockUnavailable"]): wins.payer += 1
      case (false, ["StockReserved"]): wins.taker += 1
      case (let paid, let taken): Issue.record("round \(round): paid \(paid), taken \(taken)")
      }
      try await expectSafe(fixture)
    }
    #expect(wins.payer + wins.taker == 400)
  }

  /// False when the payment is refused since the hold is lost.
  private static func succeeds(_ body: @Sendable () async throws -> Void) async throws -> Bool {
    do {
      try await body()
      return true
    } catch PaymentRejection.voided {
      return false
    }
  }

  @Test("many holders, payers and takers at once: nobody pays for what another holds")
  func raceOfMany() async throws {
    for round in 0..<8 {
      let fixture = try await fixture(40)
      let shops = [fixture.shop, fixture.anotherShop(), fixture.anotherShop()]
      for holder in 0..<40 { _ = try await reserve(order(holder), in: fixture.shop) }
      let (paid, taken) = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
        for holder in 0..<40 where holder % 2 == round % 2 {
          group.addTask {
            let didPay = try await Self.succeeds {
              try await pay(order(holder), at: Self.end, in: shops[holder % 3])
            }
            return (didPay ? 1 : 0, 0)
          }
        }
        for taker in 100..<160 {
          group.addTask {
            let types = try await take(order(taker), in: shops[taker % 3])
            return (0, types == ["StockReserved"] ? 1 : 0)
          }
        }
        return try await group.reduce(into: (0, 0)) { $0 = ($0.0 + $1.0, $0.1 + $1.1) }
      }
      #expect(paid + taken == 40)
      try await expectSafe(fixture)
      try await fixture.expectStockSound()
    }
  }

  /// In no order was a payment begun that was void, nor a hold freed whose payment had begun.
  private func expectSafe(
    _ fixture: ShopFixture, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    var begun: Set<OrderID> = []
    var void: Set<OrderID> = []
    for event in try await fixture.log.read(after: .start, limit: .max / 2).flatMap(\.events) {
      guard let order = try? event.data.orderID() else { continue }
      switch event.type {
      case PaymentInitiated.type:
        #expect(!void.contains(order), sourceLocation: sourceLocation)
        begun.insert(order)
      case PaymentVoided.type:
        #expect(void.insert(order).inserted, sourceLocation: sourceLocation)
        #expect(!begun.contains(order), sourceLocation: sourceLocation)
      case StockReleased.type: #expect(!begun.contains(order), sourceLocation: sourceLocation)
      default: break
      }
    }
  }
}
