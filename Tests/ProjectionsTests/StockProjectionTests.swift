import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("stock")
struct StockProjectionTests {
  private func restocked(
    _ quantity: Int64, at location: Location = .depot, available: Int64, reserved: Int64 = 0,
    name: String? = "From the depot"
  ) -> ProposedEvent {
    .stock(
      1,
      .restocked(
        StockRestocked(
          productID: ProductID(1), productName: name, quantity: quantity, location: location,
          level: StockLevel(available: available, reserved: reserved), reorderLevel: 5)))
  }

  private func added(_ history: History) async throws {
    try await history.append(
      .product(
        1,
        .added(
          ProductAdded(
            productID: ProductID(1), name: "Coffee", sku: "C-1",
            unitPrice: Money(minorUnits: 199, currency: .cad)))))
  }

  private func row(_ history: History) async throws -> StockRow {
    try #require(try await history.row("1", of: StockProjection()))
  }

  private func places(_ row: StockRow) -> [String] {
    row.places.map { "\($0.location) \($0.available)+\($0.reserved)" }
  }

  @Test("a product has a row before it has stock, and counts as low")
  func beforeStock() async throws {
    let history = History()
    try await added(history)
    let json = try await row(history).json
    #expect(
      JSONWriter.text(.object(json)) == """
        {"product_id":1,"product_name":"Coffee","unit_price":1.99,"currency":"CAD",\
        "is_retired":false,"available_quantity":0,"reserved_quantity":0,"total_quantity":0,\
        "sold_quantity":0,"locations":[],"reorder_level":10,"low_stock_alert":true,\
        "last_restocked":null,"pending_orders":[],"unlisted_pending_quantity":0,\
        "updated_at":"2026-01-01T00:00:01.000Z"}
        """)
  }

  @Test("pieces are counted by location, free and held")
  func locations() async throws {
    let history = History()
    try await added(history)
    try await history.append(restocked(20, available: 20))
    try await history.append(restocked(6, at: .store(2), available: 26))
    try await history.append(
      .reserved(1, 8, at: [(.depot, 5), (.store(2), 3)], available: 18, reserved: 8))
    let held = try await row(history)
    #expect(places(held) == ["depot 15+5", "store_2 3+3"])
    #expect(held.level == StockLevel(available: 18, reserved: 8))
    #expect(held.fields["total_quantity"] == 26)
    #expect(
      held.pendingOrders == [
        StockRow.PendingOrder(
          orderID: History.order, quantity: 8, reservedAt: History.start.adding(seconds: 4))
      ])
    #expect(held.lastRestockedAt == History.start.adding(seconds: 3))

    try await history.append(
      .released(1, 3, at: [(.store(2), 3)], available: 21, reserved: 5))
    #expect(places(try await row(history)) == ["depot 15+5", "store_2 6+0"])
    #expect(try await row(history).pendingOrders.map(\.quantity) == [5])

    try await history.append(
      .stock(
        1,
        .deducted(
          StockDeducted(
            productID: ProductID(1), orderID: History.order, quantity: 5,
            allocations: [Allocation(.depot, 5)], isFromReservation: true,
            level: StockLevel(available: 21, reserved: 0)))))
    let sold = try await row(history)
    #expect(places(sold) == ["depot 15+0", "store_2 6+0"])
    #expect(sold.sold == 5)
    #expect(sold.pendingOrders.isEmpty)
  }

  @Test("free pieces are sold, counted again and moved")
  func movements() async throws {
    let history = History()
    try await history.append(restocked(20, available: 20))
    let product = ProductID(1)
    try await history.append([
      .stock(
        1,
        .deducted(
          StockDeducted(
            productID: product, quantity: 4, allocations: [Allocation(.depot, 4)],
            isFromReservation: false, level: StockLevel(available: 16, reserved: 0)))),
      .stock(
        1,
        .adjusted(
          StockAdjusted(
            productID: product, location: .depot, quantityChange: -1, reason: "broken",
            level: StockLevel(available: 15, reserved: 0)))),
      .stock(
        1,
        .transferred(
          StockTransferred(
            productID: product, from: .depot, to: .store(1), quantity: 10,
            level: StockLevel(available: 15, reserved: 0)))),
    ])
    let row = try await row(history)
    #expect(places(row) == ["depot 5+0", "store_1 10+0"])
    #expect(row.sold == 4)
    #expect(row.level.available == 15)
  }

  @Test("the alert rises at the reorder level and not for a retired product")
  func alert() async throws {
    let history = History()
    try await history.append(restocked(6, available: 6))
    #expect(try await row(history).isLow == false)
    try await history.append(.reserved(1, 1, available: 5, reserved: 1))
    #expect(try await row(history).isLow)
    try await history.append(.product(1, .retired(ProductRetired(productID: ProductID(1)))))
    #expect(try await row(history).isLow == false)
  }

  @Test("the catalogue's name and price win")
  func names() async throws {
    let history = History()
    try await history.append(restocked(6, available: 6))
    #expect(try await row(history).productName == "From the depot")
    try await added(history)
    try await history.append(restocked(6, available: 12))
    try await history.append(
      .product(
        1,
        .priceChanged(
          ProductPriceChanged(
            productID: ProductID(1), unitPrice: Money(minorUnits: 250, currency: .usd)))))
    let row = try await row(history)
    #expect(row.productName == "Coffee")
    #expect(row.unitPrice == Money(minorUnits: 250, currency: .usd))
  }

  @Test("the row stays small however many orders hold pieces, and counts those it leaves out")
  func bounded() async throws {
    let history = History()
    try await history.append(restocked(1000, available: 1000))
    for number in 1...150 {
      let held = Int64(number) * 2
      try await history.append(
        .reserved(
          1, 2, for: History.orderID(number), available: 1000 - held, reserved: held))
    }
    let row = try await row(history)
    #expect(row.pendingOrders.count == StockRow.pendingOrdersMax)
    #expect(row.pendingOrders.last?.orderID == History.orderID(150))
    #expect(row.unlistedPendingQuantity == 100)
    try await history.append(
      .released(1, 2, for: History.orderID(1), available: 702, reserved: 298))
    #expect(try await self.row(history).unlistedPendingQuantity == 98)
  }

  @Test("a price change or retirement of an unknown product leaves no row")
  func unknownProduct() async throws {
    let history = History()
    try await history.append(.product(1, .retired(ProductRetired(productID: ProductID(1)))))
    #expect(try await history.rows(of: StockProjection()).isEmpty)
  }
}
