import Commerce
import EventSourcing

/// Answers what is in stock.
public struct StockQueries: Sendable {
  private let reader: ReadModelReader
  private let projection = StockProjection()

  public init(reader: ReadModelReader) { self.reader = reader }

  /// Nil for a product that neither the catalogue nor the stock knows.
  public func product(
    _ id: ProductID, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    try await reader.json(
      id.text, of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// All products, by number.
  public func all(
    limit: Int, cursor: PageCursor? = nil, minimumPosition: Position? = nil,
    waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await reader.json(
      ReadModelQuery(sortField: "product_id", limit: limit, cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// The products of which more should be ordered, by number.
  public func lowStock(
    limit: Int, cursor: PageCursor? = nil, minimumPosition: Position? = nil,
    waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await reader.json(
      ReadModelQuery(
        equals: ["low_stock_alert": true], sortField: "product_id", limit: limit, cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }
}
