import Commerce
import EventSourcing

/// Answers what sagas there are and why they wait, the newest first.
public struct SagaQueries: Sendable {
  private let reader: ReadModelReader
  private let projection = SagasProjection()

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
}
