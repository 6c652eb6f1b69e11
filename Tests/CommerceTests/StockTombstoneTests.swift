import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@Suite("A reservation that is undone before it comes")
struct StockTombstoneTests {
  private let order = Samples.orderID
  private let stocked = StockEvent.restocked(
    StockRestocked(
      productID: Samples.coffee, quantity: 5, location: .depot,
      level: StockLevel(available: 5, reserved: 0), reorderLevel: 10))
  private let barred = StockEvent.reservationBarred(
    StockReservationBarred(
      productID: Samples.coffee, orderID: Samples.orderID, reason: "cancelled"))

  private var bar: StockCommand {
    .bar(order: order, product: Samples.coffee, reason: "cancelled")
  }
  private var reserve: StockCommand {
    .reserve(order: order, product: Samples.coffee, quantity: 2)
  }

  @Test("is barred, once, whether the product ever had stock or not")
  func bars() throws {
    try given(Inventory.self).when(bar).then(barred)
    try given(Inventory.self, stocked).when(bar).then(barred)
    try given(Inventory.self, stocked, barred).when(bar).thenNothing()
  }

  @Test("is refused when it comes, for ever, and that of another order is not")
  func refuses() throws {
    try given(Inventory.self, stocked, barred).when(reserve).thenRejected(.barred(order))
    let another = StockCommand.reserve(
      order: Samples.otherOrderID, product: Samples.coffee, quantity: 5)
    #expect(try given(Inventory.self, barred, stocked).when(another).events().count == 1)
  }

  @Test("pieces that are held are not barred, and a tombstone moves no stock")
  func leavesHolds() throws {
    let reserved = try given(Inventory.self, stocked).when(reserve).events()
    try given(Inventory.self, history: [stocked] + reserved).when(bar).thenNothing()
    let decision = given(Inventory.self, stocked).when(bar)
    #expect(decision.state.isBarred(order))
    #expect(decision.state.level == StockLevel(available: 5, reserved: 0))
  }

  @Test("through the front door: the undo overtakes the reservation, which then leaves no event")
  func overtakes() async throws {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Samples.coffee, quantity: 5, context: Samples.context())
    let products = [Samples.coffee, Samples.donut]
    let undo = Samples.context()
    func release() async throws -> Shop.Receipt {
      try await fixture.shop.releaseStock(
        order: order, products: products, reason: "no", barring: true, context: undo)
    }
    #expect(
      try await release().commit?.events.map { "\($0.stream) \($0.type)" } == [
        "inventory/1 StockReservationBarred", "inventory/2 StockReservationBarred",
      ])
    #expect(try await release().isRepeated)
    for shop in [fixture.shop, fixture.anotherShop()] {
      try await fixture.refuses(StockRejection.barred(order)) {
        try await shop.reserveStock(
          order: order, lines: [(Samples.coffee, 1), (Samples.donut, 1)],
          context: Samples.context())
      }
      try await fixture.refuses(StockRejection.barred(order)) {
        try await shop.changeStock(
          ChangeStock(
            product: Samples.coffee, quantityChange: 1, operation: .reserve, orderID: order),
          context: Samples.context())
      }
    }
    try await fixture.shop.restock(Samples.donut, quantity: 1, context: Samples.context())
    try await fixture.expectStockSound()
  }

  @Test("a release by hand bars nothing")
  func byHand() async throws {
    let fixture = try await ShopFixture()
    try await fixture.shop.restock(Samples.coffee, quantity: 5, context: Samples.context())
    let released = try await fixture.shop.releaseStock(
      order: order, products: [Samples.coffee], reason: "by hand", context: Samples.context())
    #expect(released.commit == nil)
    let reserved = try await fixture.shop.reserveStock(
      order: order, lines: [(Samples.coffee, 1)], context: Samples.context())
    #expect(reserved.commit?.events.count == 1)
  }

  @Test("of a reservation and its undo that race nothing stays held", arguments: UInt64(1)...50)
  func race(round: UInt64) async throws {
    let fixture = try await ShopFixture()
    let lines: [OrderLine] = [(Samples.coffee, 1), (Samples.donut, 1)]
    for line in lines {
      try await fixture.shop.restock(line.product, quantity: 1, context: Samples.context())
    }
    let shops = [fixture.shop, fixture.anotherShop()]
    let forward = Samples.context()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<2 {
        group.addTask {
          do {
            try await shops[0].reserveStock(order: order, lines: lines, context: forward)
          } catch StockRejection.barred(order) {}
        }
      }
      let undo = shops[Int(round % 2)]
      group.addTask {
        try await undo.releaseStock(
          order: order, products: lines.map(\.product), reason: "no", barring: true,
          context: Samples.context())
      }
      try await group.waitForAll()
    }
    let types = try await fixture.events("inventory").map(\.type)
    let ends = types.dropFirst(2)
    #expect(
      ends == ["StockReserved", "StockReserved", "StockReleased", "StockReleased"]
        || ends == ["StockReservationBarred", "StockReservationBarred"])
    try await fixture.expectStockSound()
  }
}
