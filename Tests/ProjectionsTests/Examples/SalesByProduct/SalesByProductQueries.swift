import Commerce
import EventSourcing

@testable import Projections

/// Answers what was sold when.
struct SalesByProductQueries: Sendable {
  private let reader: ReadModelReader
  private let projection = SalesByProductProjection()

  init(reader: ReadModelReader) { self.reader = reader }

  /// One product from the first day to the last one (UTC), both included, the earliest first. Days
  /// without a sale have no row.
  func sales(
    of product: ProductID, from first: Timestamp, to last: Timestamp, limit: Int,
    cursor: PageCursor? = nil, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await reader.json(
      ReadModelQuery(
        equals: ["product_id": product.value],
        range: ReadModelQuery.Range(
          "date", atLeast: .string(first.day), atMost: .string(last.day)),
        sortField: "date", limit: limit, cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// The products of which most pieces were sold on a day (UTC), the most first.
  func best(
    on day: Timestamp, limit: Int, cursor: PageCursor? = nil, minimumPosition: Position? = nil,
    waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await reader.json(
      ReadModelQuery(
        equals: ["date": .string(day.day)],
        range: ReadModelQuery.Range("quantity", atLeast: 1), sortField: "quantity",
        isDescending: true, limit: limit, cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }
}
