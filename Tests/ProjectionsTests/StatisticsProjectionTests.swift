import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("statistics")
struct StatisticsProjectionTests {
  private let secondDay = History.start.adding(seconds: 86_400)

  /// Two orders on the first day (one confirmed), two on the second (one confirmed, one cancelled).
  private func trade(_ history: History) async throws {
    try await history.append(.initiated(History.orderID(1)))
    try await history.append(.initiated(History.orderID(2), items: [(1, 1)]))
    try await history.append(.confirmed(History.orderID(1)))
    history.wait(days: 1)
    try await history.append(.initiated(History.orderID(3), price: 333, at: secondDay))
    try await history.append(.initiated(History.orderID(4), at: secondDay))
    try await history.append(
      .confirmed(History.orderID(3), total: 999, initiatedAt: secondDay))
    try await history.append(.cancelled(History.orderID(4), initiatedAt: secondDay))
  }

  @Test("orders count on the day that they were placed, and in total")
  func days() async throws {
    let history = History()
    try await trade(history)
    let rows = try await history.rows(of: StatisticsProjection())
    #expect(rows.keys.sorted() == ["day_2026-01-01", "day_2026-01-02", "total"])
    let total = try #require(rows["total"])
    #expect(
      JSONWriter.text(.object(total.json)) == """
        {"date":null,"total_orders":4,"confirmed_orders":2,"total_revenue":41.49,\
        "avg_order_value":20.75,"currency":"CAD","status_counts":{"initiated":1,"confirmed":2,\
        "cancelled":1},"orders_by_status":[{"status":"initiated","count":1},\
        {"status":"confirmed","count":2},{"status":"cancelled","count":1}],\
        "revenue_by_currency":[{"currency":"CAD","total_orders":4,"confirmed_orders":2,\
        "total_revenue":41.49,"avg_order_value":20.75}],"updated_at":"2026-01-02T00:00:07.000Z"}
        """)
    #expect(
      rows["day_2026-01-02"]?.json["total_revenue"]
        == .decimal(FixedDecimal(unscaled: 999, scale: 2)))
  }

  @Test("a confirmed order that is cancelled later takes its revenue back on its own day")
  func refund() async throws {
    let history = History()
    try await trade(history)
    try await history.append(.cancelled(History.orderID(1), wasConfirmed: true))
    let rows = try await history.rows(of: StatisticsProjection())
    let day = try #require(rows["day_2026-01-01"]?.tally)
    #expect(day.confirmed == 0 && day.cancelled == 1 && day.initiated == 1)
    #expect(day.leading.revenueMinorUnits == 0)
    #expect(rows["total"]?.tally.leading.revenueMinorUnits == 999)
  }

  @Test("currencies are never added up: single amounts are those of the only one, or of the shop's")
  func currencies() async throws {
    let history = History()
    try await history.append(
      .initiated(History.orderID(1), items: [(1, 1)], price: 500, currency: .jpy))
    try await history.append(.confirmed(History.orderID(1), total: 500, currency: .jpy))
    let yen = try #require(try await history.row("total", of: StatisticsProjection()))
    #expect(yen.json["currency"] == "JPY")
    #expect(JSONWriter.text(yen.json["total_revenue"] ?? .null) == "500")
    try await history.append(.initiated(History.orderID(2)))
    try await history.append(.confirmed(History.orderID(2)))
    let both = try #require(try await history.row("total", of: StatisticsProjection()))
    #expect(both.json["currency"] == "CAD")
    #expect(both.json["total_revenue"] == .decimal(FixedDecimal(unscaled: 3150, scale: 2)))
    #expect(both.tally.sales.map(\.currency) == [.cad, .jpy])
    #expect(both.tally.total == 2)
  }

  @Test("confirmations and cancellations of orders that nobody placed count nothing")
  func strangers() async throws {
    let history = History()
    try await history.append(.confirmed())
    try await history.append(.cancelled(wasConfirmed: true))
    #expect(try await history.rows(of: StatisticsProjection()).isEmpty)
  }

  @Test(
    "averages are rounded half up to the currency's digits",
    arguments: [
      (100, 3, 33), (200, 3, 67), (5, 2, 3), (1, 2, 1), (0, 4, 0), (7, 1, 7), (-5, 2, -2),
      (0, 0, 0),
    ] as [(Int64, Int64, Int64)])
  func rounding(revenue: Int64, orders: Int64, average: Int64) {
    let sales = OrderTally.Sales(
      currency: .cad, orders: orders, confirmed: orders, revenueMinorUnits: revenue)
    #expect(sales.average == Money(minorUnits: average, currency: .cad))
  }

  @Test("amounts too large to add up are refused, not wrapped around")
  func overflow() throws {
    var tally = OrderTally()
    let huge = Money(minorUnits: .max, currency: .cad)
    try tally.initiate(huge)
    try tally.initiate(huge)
    try tally.confirm(huge)
    #expect(throws: NumberOutOfRange.self) { try tally.confirm(huge) }
  }
}
