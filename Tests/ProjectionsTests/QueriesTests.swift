import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("queries")
struct QueriesTests {
  private let history = History()
  private let store = InMemoryReadModels()
  private let board = ProjectionBoard()
  private var reader: ReadModelReader { ReadModelReader(store: store, board: board) }

  private func catchUp() async throws {
    for projection in ReadModels.all {
      try await drive(projection, log: history.log, store: store, board: board)
    }
  }

  private func ids(_ page: QueryPage, _ key: String = "order_id") -> [String] {
    page.rows.map { $0[key]?.stringValue ?? "" }
  }

  private func orders(_ numbers: [Int]) -> [String] { numbers.map { History.orderID($0).text } }

  /// Seven orders of users 7 and 8 in turn; those of an odd number are confirmed.
  private func placeOrders() async throws {
    for number in 1...7 {
      let order = History.orderID(number)
      let user: Int64 = number.isMultiple(of: 2) ? 8 : 7
      try await history.append(.initiated(order, user: user))
      if user == 7 { try await history.append(.confirmed(order, user: user)) }
    }
    try await catchUp()
  }

  @Test("an order is found by its id, with the position that the answer stands at")
  func order() async throws {
    try await placeOrders()
    let queries = OrderQueries(reader: reader)
    let found = try await queries.order(History.orderID(3))
    #expect(found.value?["status"] == "confirmed")
    #expect(found.value?["position_created"] == nil)
    #expect(found.position == (try await history.log.head()))
    #expect(try await queries.order(History.orderID(99)).value == nil)
  }

  @Test("recent orders come newest first, page after page, each once")
  func recent() async throws {
    try await placeOrders()
    let queries = OrderQueries(reader: reader)
    var seen: [String] = []
    var cursor: PageCursor?
    var pages = 0
    repeat {
      let page = try await queries.recent(limit: 3, cursor: cursor).value
      seen += ids(page)
      // As it travels in a URL.
      cursor = try page.next.map { try #require(PageCursor(token: $0.token)) }
      pages += 1
      #expect(page.rows.allSatisfy { $0["position_created"] == nil })
    } while cursor != nil
    #expect(pages == 3)
    #expect(seen == orders([7, 6, 5, 4, 3, 2, 1]))
  }

  @Test("orders are found by status and by user")
  func filters() async throws {
    try await placeOrders()
    let queries = OrderQueries(reader: reader)
    #expect(
      ids(try await queries.byStatus(.confirmed, limit: 10).value) == orders([7, 5, 3, 1]))
    #expect(
      ids(try await queries.ofUser(CustomerID(8), limit: 2).value) == orders([6, 4]))
    #expect(
      ids(try await queries.ofUser(CustomerID(7), status: .initiated, limit: 9).value) == [])
    #expect(try await queries.ofUser(CustomerID(7), status: .confirmed, limit: 4).value.next == nil)
  }

  @Test("products are listed by number, not by the text of it")
  func stock() async throws {
    for product: Int64 in [10, 9, 100] {
      try await history.append(
        .stock(
          product,
          .restocked(
            StockRestocked(
              productID: ProductID(product), quantity: product, location: .depot,
              level: StockLevel(available: product, reserved: 0), reorderLevel: 9))))
    }
    try await catchUp()
    let queries = StockQueries(reader: reader)
    let first = try await queries.all(limit: 2).value
    #expect(first.rows.map { $0["product_id"]?.integerValue } == [9, 10])
    let second = try await queries.all(limit: 2, cursor: first.next).value
    #expect(second.rows.map { $0["product_id"]?.integerValue } == [100])
    let low = try await queries.lowStock(limit: 10).value
    #expect(low.rows.map { $0["product_id"]?.integerValue } == [9])
    #expect(try await queries.product(ProductID(100)).value?["total_quantity"] == 100)
    #expect(try await queries.product(ProductID(1)).value == nil)
  }

  @Test("the best customers come first, within one currency, and only those who spent")
  func topCustomers() async throws {
    for (number, total) in [(1, 500), (2, 90_000), (3, 0), (4, 700)] {
      let order = History.orderID(number)
      let user = Int64(number)
      try await history.append(.initiated(order, user: user))
      if total > 0 {
        try await history.append(.confirmed(order, user: user, total: Int64(total)))
      }
    }
    try await history.append(
      .initiated(History.orderID(5), user: 5, items: [(1, 1)], price: 50_000, currency: .jpy))
    try await history.append(
      .confirmed(History.orderID(5), user: 5, total: 50_000, currency: .jpy))
    try await catchUp()
    let queries = UserSummaryQueries(reader: reader)
    let first = try await queries.top(limit: 2).value
    #expect(first.rows.map { $0["user_id"]?.integerValue } == [2, 4])
    let second = try await queries.top(limit: 2, cursor: first.next).value
    #expect(second.rows.map { $0["user_id"]?.integerValue } == [1])
    #expect(second.next == nil)
    let yen = try await queries.top(limit: 2, currency: .jpy).value
    #expect(yen.rows.map { $0["user_id"]?.integerValue } == [5])
    #expect(try await queries.summary(of: CustomerID(3)).value?["total_orders"] == 1)
    #expect(try await queries.summary(of: CustomerID(6)).value == nil)
  }

  @Test("statistics add up whole days, both ends included")
  func statistics() async throws {
    for day in 0..<4 {
      let time = History.start.adding(seconds: Int64(day) * 86_400)
      let order = History.orderID(day)
      try await history.append(.initiated(order, at: time))
      try await history.append(.confirmed(order, initiatedAt: time))
    }
    try await catchUp()
    let queries = StatisticsQueries(reader: reader)
    let noon = try #require(Timestamp(iso8601: "2026-01-03T12:00:00Z"))
    let second = try #require(Timestamp(iso8601: "2026-01-02"))
    let some = try await queries.orders(from: second, to: noon).value
    #expect(some["start_date"] == "2026-01-02")
    #expect(some["end_date"] == "2026-01-03")
    #expect(some["total_orders"] == 2)
    #expect(some["total_revenue"] == .decimal(FixedDecimal(unscaled: 6300, scale: 2)))
    #expect(some["avg_order_value"] == .decimal(FixedDecimal(unscaled: 3150, scale: 2)))
    #expect(some["status_counts"] == ["initiated": 0, "confirmed": 2, "cancelled": 0])
    let days = try some.objects("by_day") { try $0.string("date") }
    #expect(days == ["2026-01-02", "2026-01-03"])

    let all = try await queries.orders(from: nil, to: nil).value
    #expect(all["total_orders"] == 4)
    #expect(try await queries.orders(from: nil, to: second).value["total_orders"] == 2)
    #expect(try await queries.total().value?["total_orders"] == 4)
    let none = try await queries.orders(from: noon, to: second).value
    #expect(none["total_orders"] == 0)
    #expect(none["avg_order_value"] == .decimal(FixedDecimal(unscaled: 0, scale: 2)))
    #expect(none["by_day"] == [])
  }

  @Test("statistics need no row of an order")
  func statisticsWithoutOrders() async throws {
    try await history.append(.initiated())
    try await drive(StatisticsProjection(), log: history.log, store: store, board: board)
    #expect(try await store.rows(of: "orders__v1", after: nil, limit: 1).isEmpty)
    let queries = StatisticsQueries(reader: reader)
    #expect(try await queries.orders(from: History.start, to: nil).value["total_orders"] == 1)
  }

  @Test("the mark of an answer changes when what it shows does, and only then")
  func marks() async throws {
    try await placeOrders()
    let queries = OrderQueries(reader: reader)
    let statistics = StatisticsQueries(reader: reader)
    func marks() async throws -> [String] {
      [
        try await queries.order(History.orderID(2)).mark,
        try await queries.recent(limit: 9).mark,
        try await queries.ofUser(CustomerID(7), limit: 9).mark,
        try await statistics.orders(from: nil, to: nil).mark,
      ]
    }
    let before = try await marks()
    #expect(Set(before).count == 4)
    #expect(try await marks() == before)
    try await history.append(
      .stock(
        1,
        .restocked(
          StockRestocked(
            productID: ProductID(1), quantity: 1, location: .depot,
            level: StockLevel(available: 1, reserved: 0), reorderLevel: 1))))
    try await catchUp()
    #expect(try await marks() == before)
    // Order 2 is user 8's.
    try await history.append(.confirmed(History.orderID(2), user: 8))
    try await catchUp()
    let after = try await marks()
    #expect(zip(before, after).map { $0 == $1 } == [false, false, true, false])
    // The same rows, but the page ends elsewhere.
    let whole = try await queries.byStatus(.confirmed, limit: 5)
    #expect(try await queries.byStatus(.confirmed, limit: 4).mark != whole.mark)
  }

  @Test("sagas are found by id, by order and by state")
  func sagas() async throws {
    for number in 1...3 {
      try await history.append(
        .saga("SagaStarted", "reserving", of: History.orderID(number)))
    }
    try await history.append(.saga("SagaCompleted", "completed", of: History.orderID(2)))
    try await catchUp()
    let queries = SagaQueries(reader: reader)
    let order = History.orderID(2)
    #expect(try await queries.saga(order.sagaID).value?["state"] == "completed")
    #expect(try await queries.ofOrder(order).value?["saga_id"] == .string(order.sagaID))
    #expect(ids(try await queries.list(limit: 9).value) == orders([3, 2, 1]))
    let open = try await queries.list(state: "reserving", limit: 1).value
    #expect(ids(open) == orders([3]))
    #expect(
      ids(try await queries.list(state: "reserving", limit: 1, cursor: open.next).value)
        == orders([1]))
  }

  @Test("a query waits for the position that it is asked for")
  func minimumPosition() async throws {
    try await placeOrders()
    let order = History.orderID(50)
    let position = try #require(try await history.append(.initiated(order)).last?.position)
    let queries = OrderQueries(reader: reader)
    async let answer = queries.order(
      order, minimumPosition: position, waitMax: .seconds(20))
    try await drive(OrdersProjection(), log: history.log, store: store, board: board)
    #expect(try await answer.value?["status"] == "initiated")
    #expect(try await answer.position >= position)
  }
}
