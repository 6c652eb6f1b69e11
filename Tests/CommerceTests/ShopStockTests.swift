import Commerce
import EventSourcing
import Testing

@Suite struct ShopStockTests {
  private func order(_ number: Int) -> OrderID {
    OrderID(CommandID(derivedFrom: "order \(number)"))
  }

  private func stock(_ shop: Shop, _ product: ProductID = Samples.coffee) async throws -> Stock {
    try await shop.inventory.state(of: product.text).state
  }

  @Test("of 200 reservations for the last 10 pieces exactly 10 win, over two processes")
  func neverOversells() async throws {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Samples.coffee, quantity: 10, context: Samples.context())
    let shops = [fixture.shop, fixture.anotherShop()]
    let won = try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<200 {
        group.addTask {
          do {
            try await shops[number % 2].changeStock(
              ChangeStock(
                product: Samples.coffee, quantityChange: 1, operation: .reserve,
                orderID: order(number)), context: Samples.context())
            return true
          } catch StockRejection.insufficientStock(requested: 1, available: 0) {
            return false
          }
        }
      }
      return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(won == 10)
    #expect(try await fixture.events("inventory").map(\.type).count { $0 == "StockReserved" } == 10)
    #expect(try await fixture.events("inventory").count == 11)
    try await fixture.expectStockSound()
  }

  @Test("of 200 orders' sagas for the last 10 pieces 10 hold them and 190 learn that they do not")
  func sagasNeverOversell() async throws {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Samples.coffee, quantity: 10, context: Samples.context())
    try await fixture.shop.restock(Samples.donut, quantity: 500, context: Samples.context())
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<200 {
        group.addTask {
          try await fixture.shop.reserveStock(
            order: order(number), lines: [(Samples.donut, 2), (Samples.coffee, 1)],
            context: Samples.context())
        }
      }
      try await group.waitForAll()
    }
    let types = try await fixture.events("inventory").map(\.type)
    #expect(types.count { $0 == "StockReserved" } == 20)
    #expect(types.count { $0 == "StockUnavailable" } == 190)
    #expect(try await stock(fixture.shop, Samples.donut).reserved == 20)
    try await fixture.expectStockSound()
  }

  @Test("all lines of an order land in one commit, and are released in one")
  func reservesWhole() async throws {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Samples.coffee, quantity: 5, context: Samples.context())
    try await fixture.shop.restock(Samples.donut, quantity: 5, context: Samples.context())
    let context = Samples.context()
    let lines: [OrderLine] = [(Samples.coffee, 2), (Samples.donut, 1), (Samples.coffee, 3)]
    let reserved = try await fixture.shop.reserveStock(
      order: Samples.orderID, lines: lines, context: context)
    #expect(reserved.commit?.events.map(\.type) == ["StockReserved", "StockReserved"])
    #expect(reserved.commit?.events.map { try? $0.data.integer("quantity") } == [5, 1])

    let repeated = try await fixture.shop.reserveStock(
      order: Samples.orderID, lines: lines, context: context)
    #expect(repeated.isRepeated)
    let again = try await fixture.shop.reserveStock(
      order: Samples.orderID, lines: lines, context: Samples.context())
    #expect(again.commit == nil)

    let products = [Samples.coffee, Samples.donut, Samples.coffee]
    let released = try await fixture.shop.releaseStock(
      order: Samples.orderID, products: products, reason: "no", context: Samples.context())
    #expect(released.commit?.events.map(\.type) == ["StockReleased", "StockReleased"])
    let nothing = try await fixture.shop.releaseStock(
      order: Samples.orderID, products: products, reason: "no", context: Samples.context())
    #expect(nothing.commit == nil)
    #expect(try await stock(fixture.shop).available == 5)
    try await fixture.expectStockSound()
  }

  @Test("an order that is short of one line holds nothing")
  func reservesNothing() async throws {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Samples.coffee, quantity: 5, context: Samples.context())
    let receipt = try await fixture.shop.reserveStock(
      order: Samples.orderID, lines: [(Samples.coffee, 2), (Samples.donut, 1)],
      context: Samples.context())
    #expect(receipt.commit?.events.map(\.type) == ["StockUnavailable"])
    #expect(receipt.commit?.events.first?.stream == StreamName("inventory/2"))
    #expect(try await stock(fixture.shop).available == 5)
  }

  @Test("a reservation of nothing is refused")
  func refusesNothing() async throws {
    let fixture = try await ShopFixture()
    let error = FieldError("quantity", .invalid("must be from 1 to 1000000000"))
    try await fixture.refuses(StockRejection.invalid(error)) {
      try await fixture.shop.reserveStock(
        order: Samples.orderID, lines: [(Samples.coffee, 0)], context: Samples.context())
    }
  }

  @Test("stock is changed by hand: restock, reserve, deduct, release")
  func changesByHand() async throws {
    let fixture = try await ShopFixture()
    func change(
      _ operation: StockOperation, _ quantity: Int64, store: Int64? = nil, order: OrderID? = nil
    ) async throws -> [String] {
      let receipt = try await fixture.shop.changeStock(
        ChangeStock(
          product: Samples.coffee, quantityChange: quantity, operation: operation,
          storeID: store, orderID: order), context: Samples.context())
      return receipt.commit?.events.map(\.type) ?? []
    }
    #expect(try await change(.restock, 6) == ["StockRestocked"])
    #expect(try await change(.restock, 4, store: 1) == ["StockRestocked"])
    #expect(try await change(.reserve, 8, order: Samples.orderID) == ["StockReserved"])
    #expect(try await change(.deduct, 3, order: Samples.orderID) == ["StockDeducted"])
    #expect(try await change(.release, 5, order: Samples.orderID) == ["StockReleased"])
    #expect(try await change(.release, 5, order: Samples.orderID) == [])
    #expect(try await change(.deduct, 1, store: 1) == ["StockDeducted"])
    let stock = try await stock(fixture.shop)
    #expect(stock.productName == "Coffee")
    #expect((stock.available, stock.reserved, stock.sold, stock.received) == (6, 0, 4, 10))
    try await fixture.expectStockSound()
  }

  @Test("changes by hand that make no sense leave no event")
  func refusesByHand() async throws {
    let fixture = try await ShopFixture()
    func refuses<R: Error & Equatable>(_ rejection: R, _ change: ChangeStock) async throws {
      try await fixture.refuses(rejection) {
        try await fixture.shop.changeStock(change, context: Samples.context())
      }
    }
    func change(
      _ operation: StockOperation, _ quantity: Int64 = 1, product: ProductID = Samples.coffee
    ) -> ChangeStock {
      ChangeStock(product: product, quantityChange: quantity, operation: operation)
    }
    let missing = ShopRejection.invalid(FieldError("order_id", .missing))
    try await refuses(missing, change(.reserve))
    try await refuses(missing, change(.release))
    try await refuses(
      ShopRejection.invalid(
        FieldError("quantity_change", .invalid("must be from 1 to 1000000000"))),
      change(.restock, -1))
    try await refuses(
      ShopRejection.unknownProduct(ProductID(9)), change(.restock, product: ProductID(9)))
    try await refuses(
      StockRejection.insufficientStock(requested: 1, available: 0), change(.deduct))
    var reserve = change(.reserve, 2)
    reserve.orderID = Samples.orderID
    try await refuses(StockRejection.insufficientStock(requested: 2, available: 0), reserve)
    reserve.storeID = 0
    try await refuses(
      ShopRejection.invalid(FieldError("store_id", .invalid("must be from 1 to 2147483647"))),
      reserve)
    try await fixture.refuses(ShopRejection.unknownProduct(ProductID(9))) {
      try await fixture.shop.restock(ProductID(9), quantity: 1, context: Samples.context())
    }
  }
}
