import EventSourcing

/// What a query read. All events up to `position` are in it, and perhaps later ones.
public struct QueryAnswer<Value: Sendable>: Sendable {
  public var value: Value
  public var position: Position
  /// Counts rebuilds: which build of the read model answered.
  public var generation: Int
  /// Names what `value` was made from, in letters, digits and `._-`. Two answers to one
  /// question that have the same mark have the same value.
  public var mark: String

  public init(value: Value, position: Position, generation: Int, mark: String) {
    self.value = value
    self.position = position
    self.generation = generation
    self.mark = mark
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

/// The rows that an answer was made from. A row of one build that stands at one position has one
/// value: the fold is deterministic.
struct QueryMark {
  private let readModel: String
  private let generation: Int
  private var rows = ""

  init(_ readModel: String, generation: Int) {
    self.readModel = readModel
    self.generation = generation
  }

  /// A single row, as it stands after the event at `position`.
  static func row(_ readModel: String, generation: Int, at position: Position) -> String {
    "\(readModel).\(generation).\(position)"
  }

  mutating func add(_ id: String, at position: Position) { rows += "\(id) \(position)\n" }

  mutating func add(_ page: ReadModelReader.Page) {
    for row in page.rows { add(row.id, at: row.position) }
    add(next: page.next)
  }

  mutating func add(next: PageCursor?) { rows += "\(next?.token ?? "")\n" }

  var text: String { "\(readModel).\(generation).\(CommandID(derivedFrom: rows))" }
}

extension ReadModelReader {
  /// The row as JSON shows it, nil when there is none.
  func json<P: Projection>(
    _ id: String, of projection: P, minimumPosition: Position?, waitMax: Duration
  ) async throws -> QueryAnswer<Fields?> where P.Row: QueriedRow {
    let answer = try await row(
      id, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    return QueryAnswer(
      value: answer.value.map { P.Row.json($0.fields) }, position: answer.position,
      generation: answer.generation,
      mark: QueryMark.row(
        projection.name, generation: answer.generation, at: answer.value?.position ?? .start))
  }

  /// A page of rows as JSON shows them.
  func json<P: Projection>(
    _ query: ReadModelQuery, of projection: P, minimumPosition: Position?, waitMax: Duration
  ) async throws -> QueryAnswer<QueryPage> where P.Row: QueriedRow {
    let answer = try await page(
      query, of: projection.name, minimumPosition: minimumPosition, waitMax: waitMax)
    var mark = QueryMark(projection.name, generation: answer.generation)
    mark.add(answer.value)
    return QueryAnswer(
      value: QueryPage(
        rows: answer.value.rows.map { P.Row.json($0.fields) }, next: answer.value.next),
      position: answer.position, generation: answer.generation, mark: mark.text)
  }
}
