import Commerce
import EventSourcing

/// Answers what sagas there are and why they wait, the newest first.
public struct SagaQueries: Sendable {
  let reader: ReadModelReader
  let projection = SagasProjection()

  public init(reader: ReadModelReader) { self.reader = reader }

  /// Nil for a saga that does not exist.
  public func saga(
    _ id: String, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    try await reader.json(
      id, of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// The saga that carries an order out.
  public func ofOrder(
    _ order: OrderID, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    try await saga(order.sagaID, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// All sagas, or those in one state.
  public func list(
    state: String? = nil, limit: Int, cursor: PageCursor? = nil,
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    var equals: Fields = [:]
    equals["state"] = state.map(Value.string)
    return try await reader.json(
      ReadModelQuery(
        equals: equals, sortField: "position_started", isDescending: true, limit: limit,
        cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// The sagas that wait for timers, as of a position of the log: what a ``TimerKeeper`` starts from.
  public static func waiting(
    in store: any ReadModelStore
  ) async throws -> (waiting: [TimerKeeper.Waiting], position: Position) {
    guard let progress = try await store.progress(of: SagasProjection().name) else {
      return ([], .start)
    }
    var waiting: [TimerKeeper.Waiting] = []
    var query = ReadModelQuery(
      range: .init("timer_due", atLeast: .string("")), sortField: "timer_due", limit: 1000)
    while true {
      let page = try await store.find(query, in: progress.collection)
      for row in page {
        guard let timer = try SagaRow(fields: row.fields).timer else { continue }
        waiting.append(TimerKeeper.Waiting(saga: row.id, timer: timer, setAt: row.position))
      }
      guard page.count == query.limit, let last = page.last else { break }
      query.cursor = query.cursor(after: last)
    }
    return (waiting, progress.position)
  }
}
