import EventSourcing

/// Answers how many orders there were and what they brought in, from one row a day.
public struct StatisticsQueries: Sendable {
  private static let daysPerPage = 1000

  private let reader: ReadModelReader
  private let projection = StatisticsProjection()

  public init(reader: ReadModelReader) { self.reader = reader }

  /// The orders placed from the first day to the last one (UTC), both included; nil leaves that
  /// end open. `{start_date, end_date, total_orders, confirmed_orders, total_revenue,
  /// avg_order_value, currency, status_counts, orders_by_status, revenue_by_currency, by_day}`.
  /// - Throws: also when the sum of amounts does not fit into 64 bits.
  public func orders(
    from first: Timestamp?, to last: Timestamp?, minimumPosition: Position? = nil,
    waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields> {
    var query = ReadModelQuery(
      equals: ["kind": "day"], range: Self.range(first, last), sortField: "date",
      limit: Self.daysPerPage)
    func page() async throws -> ReadModelReader.Answer<ReadModelReader.Page> {
      try await reader.page(
        query, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    }
    var sum = OrderTally()
    var days: [Value] = []
    let start = try await page()
    var mark = QueryMark(projection.name, generation: start.generation)
    var read = start.value
    while true {
      mark.add(read)
      for stored in read.rows {
        try sum.add(StatisticsRow(fields: stored.fields).tally)
        days.append(.object(StatisticsRow.json(stored.fields)))
      }
      guard let next = read.next else { break }
      query.cursor = next
      read = try await page().value
    }
    let bounds: [(String, Value)] = [
      ("start_date", .optional(first?.day)), ("end_date", .optional(last?.day)),
    ]
    return QueryAnswer(
      value: Fields(bounds + sum.report + [("by_day", .array(days))]),
      position: start.position, generation: start.generation, mark: mark.text)
  }

  /// All orders there ever were, from a single row: what a dashboard asks for all the time. Nil
  /// before the first order.
  public func total(
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    try await reader.json(
      StatisticsRow.Span.total.id, of: projection, minimumPosition: minimumPosition,
      waitMax: waitMax)
  }

  /// Nil when both ends are open: a range without ends is none.
  private static func range(_ first: Timestamp?, _ last: Timestamp?) -> ReadModelQuery.Range? {
    if first == nil, last == nil { return nil }
    return ReadModelQuery.Range(
      "date", atLeast: first.map { .string($0.day) }, atMost: last.map { .string($0.day) })
  }
}
