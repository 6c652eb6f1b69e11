import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("queries of choreographed orders")
struct ChoreographyQueriesTests {
  private let history = History()
  private let store = InMemoryReadModels()
  private let board = ProjectionBoard()

  private var reader: ReadModelReader { ReadModelReader(store: store, board: board) }

  /// As they are asked so many seconds after the last event.
  private func queries(after seconds: Int64) -> ChoreographyQueries {
    let now = history.now.adding(seconds: seconds)
    return ChoreographyQueries(reader: reader, now: { now })
  }

  /// Orders 1 to `count`, every other one choreographed, begun in this order.
  private func placeOrders(_ count: Int) async throws {
    for number in 1...count {
      let order = History.orderID(number)
      history.isChoreographed = number.isMultiple(of: 2)
      try await history.append(.initiated(order))
      if !history.isChoreographed {
        try await history.append(.saga("SagaStarted", "reserving", of: order))
      }
    }
    try await catchUp()
  }

  private func catchUp() async throws {
    try await drive(SagasProjection(), log: history.log, store: store, board: board)
    try await drive(ChoreographiesProjection(), log: history.log, store: store, board: board)
  }

  private func numbers(_ page: QueryPage) throws -> [Int] {
    try page.rows.map { row in
      try #require((1...20).first { row["order_id"] == .string(History.orderID($0).text) })
    }
  }

  @Test("an order that has stood still for longer than the limit is stuck, unless it has ended")
  func stuck() async throws {
    try await placeOrders(4)
    history.isChoreographed = true
    let ended = History.orderID(4)
    for event in [
      ProposedEvent.cancelled(ended), .released(1, 2, for: ended),
      .payment(.voided(PaymentVoided(orderID: ended)), ended),
    ] { try await history.append(event) }
    try await catchUp()
    let (fresh, later) = (queries(after: 10), queries(after: 61))
    #expect(try await fresh.ofOrder(History.orderID(2)).value?["is_stuck"] == false)
    #expect(try await fresh.stuckCount() == 0)
    #expect(try await later.ofOrder(History.orderID(2)).value?["is_stuck"] == true)
    #expect(try await later.ofOrder(ended).value?["is_stuck"] == false)
    #expect(try await later.stuckCount() == 1)
    #expect(try await later.ofOrder(History.orderID(1)).value == nil)
  }

  @Test("an answer that says stuck has another mark than the one before")
  func marks() async throws {
    try await placeOrders(2)
    let (fresh, later) = (queries(after: 10), queries(after: 61))
    let order = History.orderID(2)
    #expect(try await fresh.ofOrder(order).mark != later.ofOrder(order).mark)
    let lists = [fresh, later].map { SagaLists(reader: reader, choreographies: $0) }
    let marks = [try await lists[0].list(limit: 9).mark, try await lists[1].list(limit: 9).mark]
    #expect(marks[0] != marks[1])
    #expect(try await lists[0].list(limit: 9).mark == marks[0])
  }

  @Test("one list of both, the newest first, in pages of any size", arguments: 1...8)
  func merged(limit: Int) async throws {
    try await placeOrders(7)
    let lists = SagaLists(reader: reader, choreographies: queries(after: 0))
    var seen: [Int] = []
    var cursor: PageCursor?
    repeat {
      let page = try await lists.list(limit: limit, cursor: cursor).value
      #expect(page.rows.count <= limit)
      seen += try numbers(page)
      cursor = page.next
    } while cursor != nil
    #expect(seen == [7, 6, 5, 4, 3, 2, 1])
  }

  @Test("only those that are carried out one way, or are in one state")
  func filtered() async throws {
    try await placeOrders(5)
    history.isChoreographed = true
    try await history.append(.reserved(1, 2, for: History.orderID(2)))
    try await catchUp()
    let lists = SagaLists(reader: reader, choreographies: queries(after: 0))
    #expect(try numbers(await lists.list(saga: .choreographed, limit: 9).value) == [4, 2])
    #expect(try numbers(await lists.list(saga: .orchestrated, limit: 9).value) == [5, 3, 1])
    #expect(try numbers(await lists.list(state: "reserving", limit: 9).value) == [5, 4, 3, 1])
    #expect(try numbers(await lists.list(state: "charging", limit: 9).value) == [2])
    let page = try await lists.list(saga: .choreographed, limit: 1).value
    #expect(page.rows[0]["is_stuck"] == false)
    #expect(page.rows[0]["position_started"] == nil)
  }
}
