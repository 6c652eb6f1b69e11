import Commerce
import EventSourcing
import EventSourcingTesting
import Synchronization
import Testing

@testable import Projections

@Suite("orders as they were")
struct PastOrdersTests {
  private let history = History()
  private let store = InMemoryReadModels()
  private let board = ProjectionBoard()

  private func past(_ log: (any EventLog)? = nil) -> PastOrders {
    PastOrders(reader: ReadModelReader(store: store, board: board), log: log ?? history.log)
  }

  private func catchUp(_ log: InMemoryLog? = nil) async throws {
    try await drive(OrdersProjection(), log: log ?? history.log, store: store, board: board)
  }

  /// What the row of an order was after each event that changed it.
  private struct Step {
    var event: Recorded
    var json: Fields
  }

  /// Found by folding the whole log, event by event.
  private func steps(_ log: InMemoryLog) async throws -> [String: [Step]] {
    let projection = OrdersProjection()
    var rows: [String: OrderRow] = [:]
    var steps: [String: [Step]] = [:]
    for event in try await log.read(after: .start, limit: 1_000_000).flatMap(\.events)
    where projection.consumes.takes(event) {
      for id in try projection.rows(touchedBy: event) {
        try projection.apply(event, to: &rows[id], id: id)
        guard let row = rows[id] else { continue }
        steps[id, default: []].append(Step(event: event, json: row.json))
      }
    }
    return steps
  }

  private func requirePast(
    _ found: PastOrder?, _ expected: Step, _ id: String, line: UInt = #line
  ) throws {
    let found = try #require(found, "\(id) at \(expected.event.position)")
    #expect(found.json == expected.json, "\(id) at \(expected.event.position)")
    #expect(found.asOf.position == expected.event.position)
    #expect(found.asOf.timestamp == expected.event.timestamp)
  }

  @Test(
    "every order is what the fold had made of it, at every event and every moment",
    arguments: FoldPropertiesTests.seeds)
  func everyMoment(seed: UInt64) async throws {
    let log = InMemoryLog()
    var shop = SimulatedShop(seed: seed, log: log)
    try await shop.open()
    for _ in 0..<300 { try await shop.tick() }
    try await catchUp(log)
    let steps = try await steps(log)
    #expect(steps.count > 20)
    for (id, steps) in steps {
      let order = try #require(OrderID(id))
      for (index, step) in steps.enumerated() {
        let after = try await past(log).order(order, upTo: .position(step.event.position))
        try requirePast(after.value, step, id)
        #expect(after.position == (try await log.head()))
        let last = steps[index...].last { $0.event.timestamp == step.event.timestamp }
        let then = try await past(log).order(order, upTo: .time(step.event.timestamp))
        try requirePast(then.value, try #require(last), id)
        guard step.event.stream.category == Orders.category else { continue }
        #expect(
          try await past(log).position(of: step.event.version, of: order) == step.event.position)
        #expect(after.value?.asOf.version == step.event.version)
      }
    }
  }

  @Test(
    "a list of the past holds the orders of then, as they were then, page after page",
    arguments: FoldPropertiesTests.seeds)
  func lists(seed: UInt64) async throws {
    let log = InMemoryLog()
    var shop = SimulatedShop(seed: seed, log: log)
    try await shop.open()
    for _ in 0..<200 { try await shop.tick() }
    try await catchUp(log)
    let steps = try await steps(log)
    let moments = steps.values.flatMap { $0 }.map(\.event.timestamp).sorted()
    for moment in [moments[0], moments[moments.count / 3], moments[moments.count / 2]] {
      for user in [nil, CustomerID(3)] as [CustomerID?] {
        let expected = steps.values
          .filter { user == nil || $0[0].json["user_id"] == user?.value }
          .compactMap { steps in steps.last { $0.event.timestamp <= moment }?.json }
        let listed = try await walk(log, moment, user)
        #expect(Set(listed) == Set(expected))
        #expect(listed.count == expected.count)
        let created = listed.map { $0["created_at"]?.stringValue ?? "" }
        #expect(created == created.sorted(by: >))
      }
    }
  }

  private func walk(
    _ log: InMemoryLog, _ moment: Timestamp, _ user: CustomerID?
  ) async throws -> [Fields] {
    var listed: [Fields] = []
    var cursor: PageCursor?
    repeat {
      let answer = try await past(log).placed(by: moment, user: user, limit: 3, cursor: cursor)
      listed += answer.value.page.rows
      #expect(answer.value.asOf.map { $0.timestamp <= moment } ?? true)
      // As it travels in a URL.
      cursor = try answer.value.page.next.map { try #require(PageCursor(token: $0.token)) }
    } while cursor != nil
    return listed
  }

  @Test("a page costs the log one question")
  func cost() async throws {
    for number in 1...9 { try await history.append(.initiated(History.orderID(number))) }
    try await catchUp()
    let log = CountingLog(base: history.log)
    let page = try await past(log).placed(by: history.now, limit: 5)
    #expect(page.value.page.rows.count == 5)
    #expect(log.questions == [.events(5)])
  }

  @Test("a moment ends at the first event after it, though a clock went back later")
  func clockGoesBack() async throws {
    try await history.append(.initiated())
    history.wait(days: 2)
    try await history.append(.reserved(1, 2))
    history.wait(days: -1)
    try await history.append(.paymentInitiated())
    try await catchUp()
    let between = History.start.adding(seconds: 86_400 + 3600)
    let order = try #require(
      try await past().order(History.order, upTo: .time(between)).value)
    #expect(order.json["status"] == "initiated")
    #expect(order.json["payment_info"] == .null)
    #expect(order.asOf.position == Position(1))
  }

  @Test("several lines that were reserved at once are seen one by one, too")
  func insideCommit() async throws {
    try await history.append(.initiated())
    try await history.append([.reserved(1, 2), .reserved(2, 1)])
    try await catchUp()
    let half = try await past().order(History.order, upTo: .position(Position(2))).value
    #expect(try half?.json.object("reservation").array("items").count == 1)
    let whole = try await past().order(History.order, upTo: .position(Position(3))).value
    #expect(try whole?.json.object("reservation").array("items").count == 2)
  }

  @Test("what there was not cannot be shown")
  func unavailable() async throws {
    history.wait(days: 1)
    try await history.append(.initiated())
    try await history.append(.reserved(1, 2))
    try await catchUp()
    let order = History.order
    let other = History.orderID(99)
    let past = past()
    #expect(try await past.order(other, upTo: .time(.now)).value == nil)
    await #expect(throws: PastUnavailable.notPlacedYet(order)) {
      try await past.order(order, upTo: .time(History.start))
    }
    #expect(try await past.position(of: Version(1), of: order) == Position(1))
    await #expect(throws: PastUnavailable.beyondVersion(Version(1))) {
      try await past.position(of: Version(2), of: order)
    }
    await #expect(throws: PastUnavailable.unknownOrder(other)) {
      try await past.position(of: Version(1), of: other)
    }
    let none = try await past.placed(by: History.start, limit: 3).value
    #expect(none.page.rows.isEmpty && none.asOf == nil)
  }

  @Test("a row names its first thousand events; the past behind them is refused, not guessed")
  func bounded() async throws {
    try await history.append(.initiated())
    for _ in 0..<OrderRow.changesMax + 5 { try await history.append(.notificationSent()) }
    try await catchUp()
    let row = try #require(try await history.row(History.order.text, of: OrdersProjection()))
    #expect(row.changedBy.count == OrderRow.changesMax)
    let past = past()
    func at(_ seconds: Int64) -> OrderBound { .time(History.start.adding(seconds: seconds)) }
    let max = Int64(OrderRow.changesMax)
    for bound in [.position(Position(max)), .position(Position(4)), at(max - 1), at(4)] {
      #expect(try await past.order(History.order, upTo: bound).value != nil, "\(bound)")
    }
    for bound in [.position(Position(max + 1)), at(max), at(max * 2)] {
      await #expect(throws: PastUnavailable.historyNotKept(History.order), "\(bound)") {
        try await past.order(History.order, upTo: bound)
      }
    }
  }

  @Test("a row that an older fold made is shown, and says that it has no past")
  func olderRow() async throws {
    try await history.append(.initiated())
    try await catchUp()
    let id = History.order.text
    var stored = try #require(try await store.load([id], from: "orders__v1")[id])
    stored.fields["changed_by"] = nil
    stored.position = Position(2)
    try await store.write([stored], to: "orders__v1")
    // A board of its own: one that drives may know the row without asking the store.
    let reader = ReadModelReader(store: store, board: ProjectionBoard())
    #expect(try await OrderQueries(reader: reader).order(History.order).value != nil)
    await #expect(throws: PastUnavailable.historyNotKept(History.order)) {
      try await PastOrders(reader: reader, log: history.log)
        .order(History.order, upTo: .time(history.now))
    }
  }

  @Test("a log that lost what made a row is found out")
  func lostEvents() async throws {
    try await history.append(.initiated())
    try await catchUp()
    let past = past(CountingLog(base: InMemoryLog()))
    await #expect(throws: LogCorruption.self) {
      try await past.order(History.order, upTo: .position(Position(1)))
    }
  }
}

/// Counts what it is asked.
private final class CountingLog: ForwardingLog {
  enum Question: Equatable {
    case events(Int)
    case other
  }

  let base: InMemoryLog
  private let asked = Mutex<[Question]>([])

  init(base: InMemoryLog) { self.base = base }

  var questions: [Question] { asked.withLock { $0 } }

  func events(at positions: [Position]) async throws -> [Recorded] {
    asked.withLock { $0.append(.events(positions.count)) }
    return try await base.events(at: positions)
  }

  func read(after position: Position, limit: Int) async throws -> [RecordedCommit] {
    asked.withLock { $0.append(.other) }
    return try await base.read(after: position, limit: limit)
  }

  func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] {
    asked.withLock { $0.append(.other) }
    return try await base.readStream(stream, from: version, limit: limit)
  }
}
