import Commerce
import EventSourcing
import Testing

@Suite struct ShopOrderTests {
  private let ada = Samples.ada.customerID

  @Test("an order is placed at the catalogue's names and prices")
  func places() async throws {
    let fixture = try await ShopFixture()
    let context = Samples.context()
    let placed = try await fixture.place(
      [(Samples.coffee, 2), (Samples.donut, 4)], context: context)
    #expect(placed.orderID == OrderID(context.commandID))
    #expect(placed.status == "initiated")
    #expect(placed.total == Samples.cad(898))
    #expect(!placed.receipt.isRepeated)
    #expect(placed.receipt.position == Position(4))
    let order = try await fixture.shop.orders.state(of: placed.orderID.text).state
    #expect(order.initiated?.userEmail == "ada@example.org")
    #expect(order.initiated?.items.map(\.productName) == ["Coffee", "Donut"])
    #expect(order.initiated?.paymentMethod == "card")
    #expect(order.initiated?.initiatedAt == Samples.now)
  }

  @Test("a repeated command gets the recorded answer, whatever has changed since")
  func repeats() async throws {
    let fixture = try await ShopFixture()
    let context = Samples.context(fingerprint: "a")
    let first = try await fixture.place(context: context)
    try await fixture.shop.products.handle(
      .changePrice(Samples.cad(999)), on: Samples.coffee.text, context: Samples.context())
    let second = try await fixture.place(context: context)
    try await fixture.shop.products.handle(
      .retire, on: Samples.coffee.text, context: Samples.context())
    let third = try await fixture.place(context: context)
    let elsewhere = try await fixture.anotherShop().placeOrder(
      PlaceOrder(userID: ada, items: [(Samples.coffee, 2)]), context: context)
    for again in [second, third, elsewhere] {
      #expect(again.receipt.isRepeated)
      #expect(again.orderID == first.orderID)
      #expect(again.total == first.total)
      #expect(again.status == first.status)
      #expect(again.receipt.position == first.receipt.position)
    }
    #expect(try await fixture.events("orders").count == 1)
  }

  @Test("fifty callers with one command id place one order")
  func placesOnce() async throws {
    let fixture = try await ShopFixture()
    let context = Samples.context()
    let answers = try await withThrowingTaskGroup(of: OrderPlaced.self) { group in
      for _ in 0..<50 { group.addTask { try await fixture.place(context: context) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(answers.map(\.orderID)).count == 1)
    #expect(answers.count { !$0.receipt.isRepeated } == 1)
    #expect(try await fixture.events("orders").count == 1)
  }

  @Test("a command id that was used for something else is refused")
  func refusesReuse() async throws {
    let fixture = try await ShopFixture()
    let context = Samples.context(fingerprint: "a")
    _ = try await fixture.place(context: context)
    await #expect(throws: CommandIDReused.self) {
      try await fixture.place(
        [(Samples.donut, 1)], context: Samples.context(context.commandID, fingerprint: "b"))
    }
    let other = Samples.context()
    try await fixture.shop.restock(Samples.coffee, quantity: 1, context: other)
    await #expect(throws: CommandIDReused.self) { try await fixture.place(context: other) }
    #expect(try await fixture.events("orders").count == 1)
  }

  @Test("an unknown product, a retired one and an unknown customer leave no event")
  func refusesUnknown() async throws {
    let fixture = try await ShopFixture()
    try await fixture.refuses(ShopRejection.unknownProduct(ProductID(9))) {
      _ = try await fixture.place([(Samples.coffee, 1), (ProductID(9), 1)])
    }
    try await fixture.refuses(ShopRejection.unknownCustomer(CustomerID(9))) {
      _ = try await fixture.shop.placeOrder(
        PlaceOrder(userID: CustomerID(9), items: [(Samples.coffee, 1)]),
        context: Samples.context())
    }
    try await fixture.shop.products.handle(
      .retire, on: Samples.donut.text, context: Samples.context())
    try await fixture.refuses(ShopRejection.retiredProduct(Samples.donut)) {
      _ = try await fixture.place([(Samples.donut, 1)])
    }
  }

  @Test("a product that another process adds after a refusal can be ordered")
  func believesRefusalsOnlyFresh() async throws {
    let fixture = try await ShopFixture()
    try await fixture.refuses(ShopRejection.unknownProduct(ProductID(9))) {
      _ = try await fixture.place([(ProductID(9), 1)])
    }
    try await fixture.anotherShop().addProduct(
      Samples.product(ProductID(9), name: "Bagel"), context: Samples.context())
    _ = try await fixture.place([(ProductID(9), 1)])
  }

  @Test("malformed orders are refused by the field's name")
  func refusesMalformed() async throws {
    let fixture = try await ShopFixture()
    let good = PlaceOrder(userID: ada, items: [(Samples.coffee, 1)])
    func refuses(_ field: String, _ change: (inout PlaceOrder) -> Void) async throws {
      var order = good
      change(&order)
      let before = try await fixture.log.head()
      do {
        _ = try await fixture.shop.placeOrder(order, context: Samples.context())
        Issue.record("\(field) was let through")
      } catch ShopRejection.invalid(let error) {
        #expect(error.field == field)
      }
      #expect(try await fixture.log.head() == before)
    }
    try await refuses("items") { $0.items = [] }
    try await refuses("items") { $0.items = Array(repeating: (Samples.coffee, 1), count: 101) }
    try await refuses("items[1].quantity") { $0.items.append((Samples.donut, 0)) }
    try await refuses("items[0].quantity") { $0.items = [(Samples.coffee, 1_000_001)] }
    try await refuses("store_id") { $0.storeID = 0 }
    try await refuses("payment_method") { $0.paymentMethod = " " }
    try await refuses("currency") { $0.currency = "XXX" }
    try await refuses("shipping_address.city") {
      $0.shippingAddress = ShippingAddress(street: "1 Main", city: "", postalCode: "H7A")
    }
  }

  @Test("the order's currency is that of its products")
  func refusesCurrency() async throws {
    let fixture = try await ShopFixture()
    try await fixture.refuses(ShopRejection.currencyMismatch(expected: .cad, got: .eur)) {
      _ = try await fixture.shop.placeOrder(
        PlaceOrder(userID: ada, items: [(Samples.coffee, 1)], currency: "EUR"),
        context: Samples.context())
    }
    try await fixture.shop.addProduct(
      Samples.product(ProductID(3), price: Money(minorUnits: 100, currency: .jpy)),
      context: Samples.context())
    try await fixture.refuses(ShopRejection.currencyMismatch(expected: .jpy, got: .cad)) {
      _ = try await fixture.place([(Samples.coffee, 1), (ProductID(3), 1)])
    }
    try await fixture.refuses(OrderRejection.quantityOutOfRange(Samples.coffee)) {
      _ = try await fixture.place([(Samples.coffee, 600_000), (Samples.coffee, 600_000)])
    }
  }

  @Test("an order placed on an outdated price is placed again at the new one")
  func looksAgain() async throws {
    let fixture = try await ShopFixture()
    _ = try await fixture.place()
    try await fixture.anotherShop().products.handle(
      .changePrice(Samples.cad(300)), on: Samples.coffee.text, context: Samples.context())
    #expect(try await fixture.place().total == Samples.cad(600))
  }

  @Test("while prices change, every order has the price of its own place in the log")
  func racesWithPrices() async throws {
    let fixture = try await ShopFixture()
    let other = fixture.anotherShop()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for cents in Int64(200)..<240 {
        group.addTask {
          try await other.products.handle(
            .changePrice(Samples.cad(cents)), on: Samples.coffee.text,
            context: Samples.context())
        }
        group.addTask { _ = try await fixture.place([(Samples.coffee, 1)]) }
      }
      try await group.waitForAll()
    }
    var price = Samples.cad(199)
    var orders = 0
    for event in try await fixture.log.read(after: .start, limit: 1000).flatMap(\.events) {
      if event.type == ProductPriceChanged.type {
        price = try event.data.money("unit_price")
      } else if event.type == OrderInitiated.type {
        orders += 1
        #expect(try event.data.money("total_amount") == price)
      }
    }
    #expect(orders == 40)
  }

  @Test("cancelling an order twice is the same as once")
  func cancels() async throws {
    let fixture = try await ShopFixture()
    let id = try await fixture.place().orderID
    let context = Samples.context()
    let first = try await fixture.shop.cancelOrder(id, reason: "no", context: context)
    let repeated = try await fixture.shop.cancelOrder(id, reason: "no", context: context)
    let second = try await fixture.shop.cancelOrder(
      id, reason: "really no", context: Samples.context())
    #expect(
      [first.status, repeated.status, second.status] == Array(repeating: "cancelling", count: 3))
    #expect(first.receipt.commit != nil)
    #expect(repeated.receipt.isRepeated)
    #expect(second.receipt.commit == nil)
    try await fixture.shop.cancelOrderFinally(
      id, reason: "no", code: "CUSTOMER_REQUEST", context: Samples.context())
    let late = try await fixture.shop.cancelOrder(id, reason: "no", context: Samples.context())
    #expect(late.status == "cancelled")
    #expect(try await fixture.events("orders").count == 3)
  }

  @Test("an unknown order can be neither cancelled nor confirmed")
  func refusesUnknownOrder() async throws {
    let fixture = try await ShopFixture()
    let id = Samples.otherOrderID
    try await fixture.refuses(ShopRejection.unknownOrder(id)) {
      _ = try await fixture.shop.cancelOrder(id, reason: "no", context: Samples.context())
    }
    try await fixture.refuses(ShopRejection.unknownOrder(id)) {
      try await fixture.shop.confirmOrder(id, context: Samples.context())
    }
    try await fixture.refuses(ShopRejection.unknownOrder(id)) {
      try await fixture.shop.cancelOrderFinally(
        id, reason: "no", code: "X", context: Samples.context())
    }
    try await fixture.refuses(
      ShopRejection.invalid(FieldError("reason", .invalid("must not be empty")))
    ) {
      _ = try await fixture.shop.cancelOrder(id, reason: "", context: Samples.context())
    }
  }
}
