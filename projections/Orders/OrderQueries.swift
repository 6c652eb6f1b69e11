import Commerce
import EventSourcing

/// Answers what orders there are, the newest first.
public struct OrderQueries: Sendable {
  private let reader: ReadModelReader
  private let projection = OrdersProjection()

  public init(reader: ReadModelReader) { self.reader = reader }

  /// Nil for an order that does not exist.
  public func order(
    _ id: OrderID, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    try await reader.json(
      id.text, of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  public func recent(
    limit: Int, cursor: PageCursor? = nil, minimumPosition: Position? = nil,
    waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await page([:], limit, cursor, minimumPosition, waitMax)
  }

  public func byStatus(
    _ status: OrderRow.Status, limit: Int, cursor: PageCursor? = nil,
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await page(["status": .string(status.rawValue)], limit, cursor, minimumPosition, waitMax)
  }

  public func ofUser(
    _ user: CustomerID, status: OrderRow.Status? = nil, limit: Int, cursor: PageCursor? = nil,
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    var equals: Fields = ["user_id": user.value]
    equals["status"] = status.map { .string($0.rawValue) }
    return try await page(equals, limit, cursor, minimumPosition, waitMax)
  }

  private func page(
    _ equals: Fields, _ limit: Int, _ cursor: PageCursor?, _ minimumPosition: Position?,
    _ waitMax: Duration
  ) async throws -> QueryAnswer<QueryPage> {
    try await reader.json(
      ReadModelQuery(
        equals: equals, sortField: "position_created", isDescending: true, limit: limit,
        cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }
}
