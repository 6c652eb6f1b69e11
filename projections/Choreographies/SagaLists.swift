import Commerce
import EventSourcing

/// Lists orders that a saga carries out and orders that are choreographed as one, the newest first.
///
/// Both read models sort by the position at which a row began. Positions are the log's, no two rows
/// begin at the same one, so one cursor pages through both: each list goes on after it.
public struct SagaLists: Sendable {
  private let reader: ReadModelReader
  private let choreographies: ChoreographyQueries

  public init(reader: ReadModelReader, choreographies: ChoreographyQueries) {
    self.reader = reader
    self.choreographies = choreographies
  }

  /// - Parameters:
  ///   - saga: only those that are carried out so; nil: both.
  ///   - state: only those in this state.
  /// - Returns: a page; its position is that of the read model that is further behind.
  public func list(
    saga: OrderSaga? = nil, state: String? = nil, limit: Int, cursor: PageCursor? = nil,
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    var equals: Fields = [:]
    equals["state"] = state.map(Value.string)
    let query = ReadModelQuery(
      equals: equals, sortField: Self.sortField, isDescending: true, limit: limit, cursor: cursor)
    var pages: [(OrderSaga, ReadModelReader.Answer<ReadModelReader.Page>)] = []
    for kind in OrderSaga.allCases where saga == nil || saga == kind {
      pages.append(
        (
          kind,
          try await reader.page(
            query, of: Self.readModel(kind), minimumPosition: minimumPosition, waitMax: waitMax)
        ))
    }
    return merged(pages, query)
  }

  private static let sortField = "position_started"

  private static func readModel(_ saga: OrderSaga) -> String {
    switch saga {
    case .orchestrated: SagasProjection().name
    case .choreographed: ChoreographiesProjection().name
    }
  }

  private func merged(
    _ pages: [(OrderSaga, ReadModelReader.Answer<ReadModelReader.Page>)], _ query: ReadModelQuery
  ) -> QueryAnswer<QueryPage> {
    let found = pages.flatMap { saga, page in page.value.rows.map { (saga, $0) } }
    let rows = found.sorted { Self.start(of: $0.1) > Self.start(of: $1.1) }.prefix(query.limit)
    let hasMore = found.count > rows.count || pages.contains { $0.1.value.next != nil }
    let next = hasMore ? rows.last.map { query.cursor(after: $0.1) } : nil
    let shown = rows.map { saga, row in
      switch saga {
      case .orchestrated: SagaRow.json(row.fields)
      case .choreographed: choreographies.judged(ChoreographyRow.json(row.fields))
      }
    }
    let generation = pages.map { $0.1.generation }.reduce(0, +)
    var mark = QueryMark(
      pages.map { Self.readModel($0.0) }.joined(separator: "-"), generation: generation)
    for ((saga, row), fields) in zip(rows, shown) {
      let isStuck = fields["is_stuck"] == true
      mark.add("\(saga.rawValue) \(row.id)\(isStuck ? " stuck" : "")", at: row.position)
    }
    mark.add(next: next)
    return QueryAnswer(
      value: QueryPage(rows: shown, next: next),
      position: pages.map { $0.1.position }.min() ?? .start, generation: generation,
      mark: mark.text)
  }

  private static func start(of row: StoredRow) -> Int64 {
    row.fields[sortField]?.integerValue ?? 0
  }
}
