import Commerce
import EventSourcing
import Testing

@testable import Projections

/// The read model of `docs/READ_MODEL.md`.
@Suite("sales by product, the worked example")
struct SalesByProductTests {
  private let history = History()
  private let store = InMemoryReadModels()

  /// The read models of the shop and one more: that one line is all there is to it.
  private let readModels: [any Projection] = ReadModels.all + [SalesByProductProjection()]

  @Test("sales add up by product and day of the order")
  func sales() async throws {
    let today = ProposedEvent.lines([(1, 2), (2, 1)])
    let more = ProposedEvent.lines([(1, 3)])
    let nextDay = History.start.adding(seconds: 86_400)
    try await history.append(.confirmed(History.orderID(1), items: today))
    try await history.append(.confirmed(History.orderID(2), items: more))
    try await history.append(.confirmed(History.orderID(3), items: more, initiatedAt: nextDay))

    let rows = try await history.rows(of: SalesByProductProjection())
    #expect(rows.keys.sorted() == ["1_2026-01-01", "1_2026-01-02", "2_2026-01-01"])
    #expect(
      JSONWriter.text(.object(try #require(rows["1_2026-01-01"]).json)) == """
        {"product_id":1,"product_name":"Product 1","date":"2026-01-01","orders":2,"quantity":5,\
        "revenue_by_currency":[{"currency":"CAD","revenue":52.50}],\
        "updated_at":"2026-01-01T00:00:02.000Z"}
        """)
  }

  @Test("currencies are never added up")
  func currencies() async throws {
    for currency in [Currency.jpy, .cad, .jpy] {
      let items = ProposedEvent.lines([(1, 1)], price: 500, currency: currency)
      try await history.append(.confirmed(items: items, total: 500, currency: currency))
    }
    let row = try #require(await history.row("1_2026-01-01", of: SalesByProductProjection()))
    #expect(row.revenue.map(\.description) == ["5.00 CAD", "1000 JPY"])
  }

  @Test("an order that is cancelled was not sold, on the day that it was placed on")
  func cancellation() async throws {
    let items = ProposedEvent.lines([(1, 2)])
    try await history.append(.confirmed(History.orderID(1), items: items))
    try await history.append(.confirmed(History.orderID(2), items: items))
    history.wait(days: 3)
    try await history.append(.cancelled(History.orderID(1), items: items, wasConfirmed: true))

    let rows = try await history.rows(of: SalesByProductProjection())
    #expect(rows.count == 1)
    let row = try #require(rows["1_2026-01-01"])
    #expect(row.orders == 1 && row.quantity == 2)
    #expect(row.revenue.map(\.description) == ["21.00 CAD"])
  }

  @Test("who was never confirmed, and what nobody sold, takes nothing back")
  func nothingToTakeBack() async throws {
    let items = ProposedEvent.lines([(1, 2)])
    try await history.append(.cancelled(History.orderID(1)))
    try await history.append(.cancelled(History.orderID(2), items: items, wasConfirmed: true))
    #expect(try await history.rows(of: SalesByProductProjection()).isEmpty)
    try await history.append(.confirmed(History.orderID(3), items: ProposedEvent.lines([(1, 1)])))
    try await history.append(.cancelled(History.orderID(2), items: items, wasConfirmed: true))
    let row = try await history.row("1_2026-01-01", of: SalesByProductProjection())
    #expect(row?.quantity == 1)
  }

  @Test("events of schema 1 named no lines: they touch no row")
  func earlierSchema() async throws {
    for var event in [ProposedEvent.confirmed(), .cancelled(wasConfirmed: true)] {
      event.schema = 1
      event.data["items"] = nil
      try await history.append(event)
    }
    #expect(try await history.rows(of: SalesByProductProjection()).isEmpty)
  }

  @Test("the driver takes it beside the others, and a rebuild makes the same bytes")
  func liveAndRebuilt() async throws {
    var shop = SimulatedShop(seed: 2026, log: history.log)
    try await shop.open()
    for _ in 0..<10 {
      for _ in 0..<40 { try await shop.tick() }
      for projection in readModels { try await follow(projection) }
    }
    let live = try await serving("sales_by_product", in: store)
    #expect(!live.isEmpty)

    let result = try await ProjectionRebuild(
      SalesByProductProjection(), log: history.log, store: store,
      settings: RebuildSettings(grace: .zero, expectsSame: true)
    ).run()
    #expect(result.hasSwitched && result.generation == 2)
    #expect(result.differences.isEmpty && result.rows == live.count)
    #expect(try await serving("sales_by_product", in: store) == live)
  }

  private func follow<P: Projection>(_ projection: P) async throws {
    try await drive(projection, log: history.log, store: store)
  }

  @Test("the products of a day bring in what the statistics say of it", arguments: [4, 5, 6])
  func agreesWithStatistics(seed: UInt64) async throws {
    var shop = SimulatedShop(seed: seed, log: history.log)
    try await shop.open()
    for _ in 0..<400 { try await shop.tick() }

    var products: [String: Int64] = [:]
    for row in try await history.rows(of: SalesByProductProjection()).values {
      for money in row.revenue where money.minorUnits > 0 {
        products["\(row.date) \(money.currency)", default: 0] += money.minorUnits
      }
    }
    var days: [String: Int64] = [:]
    for (id, row) in try await history.rows(of: StatisticsProjection()) where id != "total" {
      for sales in row.tally.sales where sales.revenueMinorUnits > 0 {
        days["\(row.span.day ?? "") \(sales.currency)"] = sales.revenueMinorUnits
      }
    }
    #expect(!products.isEmpty)
    #expect(products == days)
  }

  @Test("a product's days come in their order, and the best of a day first")
  func queries() async throws {
    for day: Int64 in 0..<5 {
      let time = History.start.adding(seconds: day * 86_400)
      let items = ProposedEvent.lines([(1, day + 1), (2, 3)])
      try await history.append(.confirmed(items: items, initiatedAt: time))
    }
    let board = ProjectionBoard()
    try await drive(SalesByProductProjection(), log: history.log, store: store, board: board)

    let head = try await history.log.head()
    let queries = SalesByProductQueries(reader: ReadModelReader(store: store, board: board))
    let firstDays = try await queries.sales(
      of: ProductID(1), from: History.start, to: History.start.adding(seconds: 2 * 86_400),
      limit: 2, minimumPosition: head, waitMax: .seconds(5))
    #expect(firstDays.position >= head)
    #expect(firstDays.value.rows.map { $0["quantity"] } == [1, 2])
    let lastDay = try await queries.sales(
      of: ProductID(1), from: History.start, to: History.start.adding(seconds: 2 * 86_400),
      limit: 2, cursor: firstDays.value.next)
    #expect(lastDay.value.rows.map { $0["quantity"] } == [3])
    #expect(lastDay.value.next == nil)

    let best = try await queries.best(on: History.start, limit: 10).value
    #expect(best.rows.map { $0["product_id"] } == [2, 1])
  }
}
