import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("user summaries")
struct UserSummariesProjectionTests {
  private func row(_ history: History, _ user: Int64 = 7) async throws -> UserSummaryRow {
    try #require(try await history.row(String(user), of: UserSummariesProjection()))
  }

  @Test("a customer who has ordered nothing has an empty summary")
  func registered() async throws {
    let history = History()
    try await history.append(
      ProposedEvent(
        CustomerEvent.registered(
          CustomerRegistered(customerID: CustomerID(7), name: "Ada", email: "ada@example.com")),
        in: Customers.stream("7")))
    #expect(
      JSONWriter.text(.object(try await row(history).json)) == """
        {"user_id":7,"user_name":"Ada","user_email":"ada@example.com","total_orders":0,\
        "confirmed_orders":0,"total_spent":0.00,"avg_order_value":0.00,"currency":"CAD",\
        "last_order_date":null,"favorite_products":[],\
        "orders_by_status":[{"status":"initiated","count":0},{"status":"confirmed","count":0},\
        {"status":"cancelled","count":0}]}
        """)
  }

  @Test("a summary counts orders, money and favourite products")
  func summary() async throws {
    let history = History()
    try await history.append(.initiated(History.orderID(1)))
    try await history.append(.confirmed(History.orderID(1)))
    try await history.append(.initiated(History.orderID(2), items: [(2, 4), (9, 1)]))
    try await history.append(.confirmed(History.orderID(2), total: 5250))
    try await history.append(.initiated(History.orderID(3), items: [(3, 1)]))
    try await history.append(.cancelled(History.orderID(3), total: 1050))
    let row = try await row(history)
    #expect(row.tally.total == 3)
    #expect(row.tally.confirmed == 2)
    #expect(row.json["total_spent"] == .decimal(FixedDecimal(unscaled: 8400, scale: 2)))
    #expect(row.json["avg_order_value"] == .decimal(FixedDecimal(unscaled: 4200, scale: 2)))
    #expect(row.lastOrderAt == History.start.adding(seconds: 5))
    #expect(row.favorites.map(\.productID.rawValue) == [2, 1, 3, 9])
    #expect(row.favorites.map(\.quantity) == [5, 2, 1, 1])
    #expect(row.json.keys.contains("product_quantities") == false)
  }

  @Test("only the five products ordered most are named, all are counted")
  func favorites() async throws {
    let history = History()
    try await history.append(.initiated(items: (1...8).map { ($0, $0) }))
    let row = try await row(history)
    #expect(row.favorites.map(\.productID.rawValue) == [8, 7, 6, 5, 4])
    #expect(row.quantities.map(\.productID.rawValue) == Array(1...8))
  }

  @Test("money of a confirmed order that is cancelled is no longer spent")
  func refund() async throws {
    let history = History()
    try await history.append(.initiated())
    try await history.append(.confirmed())
    try await history.append(.cancelled(wasConfirmed: true))
    let row = try await row(history)
    #expect(row.tally.leading.revenueMinorUnits == 0)
    #expect(row.tally.confirmed == 0 && row.tally.cancelled == 1)
  }

  @Test("the outcome of an order of an unknown customer leaves no row")
  func unknownCustomer() async throws {
    let history = History()
    try await history.append(.confirmed())
    #expect(try await history.rows(of: UserSummariesProjection()).isEmpty)
  }
}
