import Commerce
import EventSourcing

/// Answers what orders were: a row names the events that made it, so that its past is read from the
/// log by position, never by a scan. A page costs one question to the read model and one to the log.
public struct PastOrders: Sendable {
  /// One page of orders as they were.
  public struct Page: Sendable {
    public var page: QueryPage
    /// Nil when the page is empty.
    public var asOf: PastOrder.AsOf?
  }

  private let reader: ReadModelReader
  private let log: any EventLog
  private let projection = OrdersProjection()

  public init(reader: ReadModelReader, log: any EventLog) {
    self.reader = reader
    self.log = log
  }

  /// Where in the log the event is that gave an order's stream this version.
  /// - Throws: ``PastUnavailable``
  public func position(of version: Version, of order: OrderID) async throws -> Position {
    let stream = Orders.stream(order.text)
    if let event = try await log.readStream(stream, from: version, limit: 1).first {
      return event.position
    }
    let head = try await log.version(of: stream)
    throw head == .none ? PastUnavailable.unknownOrder(order) : .beyondVersion(head)
  }

  /// The order as it was; nil for an order that does not exist.
  /// - Throws: ``PastUnavailable``
  public func order(
    _ id: OrderID, upTo bound: OrderBound, minimumPosition: Position? = nil,
    waitMax: Duration = .zero
  ) async throws -> QueryAnswer<PastOrder?> {
    let answer = try await reader.row(
      id.text, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    let order = try await past(answer.value.map { [$0] } ?? [], bound).first
    return QueryAnswer(
      value: order, position: answer.position, generation: answer.generation,
      mark: QueryMark.row(
        projection.name, generation: answer.generation, at: order?.asOf.position ?? .start))
  }

  /// The orders that were placed by then, of one customer or of all, each as it was then; the last
  /// one placed comes first.
  /// - Throws: ``PastUnavailable/historyNotKept(_:)``
  public func placed(
    by time: Timestamp, user: CustomerID? = nil, limit: Int, cursor: PageCursor? = nil,
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Page> {
    var equals: Fields = [:]
    equals["user_id"] = user?.value
    // By the clock and not by position: two commits may stand in the log the other way round.
    let query = ReadModelQuery(
      equals: equals, range: ReadModelQuery.Range("created_at", atMost: .time(time)),
      sortField: "created_at", isDescending: true, limit: limit, cursor: cursor)
    let answer = try await reader.page(
      query, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    let orders = try await past(answer.value.rows, .time(time))
    var mark = QueryMark(projection.name, generation: answer.generation)
    for (stored, order) in zip(answer.value.rows, orders) {
      mark.add(stored.id, at: order.asOf.position)
    }
    mark.add(next: answer.value.next)
    let last = orders.map(\.asOf).max { $0.position < $1.position }
    return QueryAnswer(
      value: Page(
        page: QueryPage(rows: orders.map(\.json), next: answer.value.next),
        asOf: last.map { PastOrder.AsOf(position: $0.position, timestamp: $0.timestamp) }),
      position: answer.position, generation: answer.generation, mark: mark.text)
  }

  /// What the rows were, with one question to the log for all of them.
  private func past(_ rows: [StoredRow], _ bound: OrderBound) async throws -> [PastOrder] {
    let histories = try rows.map(OrderHistory.init)
    let positions = try histories.flatMap { try $0.positions(upTo: bound) }
    let events = Dictionary(
      try await log.events(at: positions).map { ($0.position, $0) },
      uniquingKeysWith: { first, _ in first })
    return try histories.map { try $0.order(bound, from: events) }
  }
}
