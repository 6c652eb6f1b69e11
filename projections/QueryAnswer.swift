import EventSourcing

/// What a query read. All events up to `position` are in it, and perhaps later ones.
public struct QueryAnswer<Value: Sendable>: Sendable {
  public var value: Value
  public var position: Position

  public init(value: Value, position: Position) {
    self.value = value
    self.position = position
  }
}

/// One page of rows, as JSON shows them.
public struct QueryPage: Sendable {
  public var rows: [Fields]
  /// Where the next page starts; nil on the last one.
  public var next: PageCursor?

  public init(rows: [Fields], next: PageCursor?) {
    self.rows = rows
    self.next = next
  }
}

extension ReadModelReader {
  /// The row as JSON shows it, nil when there is none.
  func json<P: Projection>(
    _ id: String, of projection: P, minimumPosition: Position?, waitMax: Duration
  ) async throws -> QueryAnswer<Fields?> where P.Row: QueriedRow {
    let answer = try await row(
      id, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    return QueryAnswer(
      value: answer.value.map { P.Row.json($0.fields) }, position: answer.position)
  }

  /// A page of rows as JSON shows them.
  func json<P: Projection>(
    _ query: ReadModelQuery, of projection: P, minimumPosition: Position?, waitMax: Duration
  ) async throws -> QueryAnswer<QueryPage> where P.Row: QueriedRow {
    let answer = try await page(
      query, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    return QueryAnswer(
      value: QueryPage(
        rows: answer.value.rows.map { P.Row.json($0.fields) }, next: answer.value.next),
      position: answer.position)
  }
}
