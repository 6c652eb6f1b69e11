import Commerce
import EventSourcing

/// Answers what a customer has ordered, and who has spent most.
public struct UserSummaryQueries: Sendable {
  private let reader: ReadModelReader
  private let projection = UserSummariesProjection()

  public init(reader: ReadModelReader) { self.reader = reader }

  /// Nil for a customer who neither registered nor ordered.
  public func summary(
    of user: CustomerID, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    try await reader.json(
      user.text, of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }

  /// The customers who have spent most in `currency`, first the greatest; those who have spent
  /// nothing are left out. Amounts of different currencies are not compared: a customer of several
  /// ranks by the shop's currency.
  public func top(
    limit: Int, cursor: PageCursor? = nil, currency: Currency = .cad,
    minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<QueryPage> {
    try await reader.json(
      ReadModelQuery(
        equals: ["currency": .string(currency.code)],
        range: ReadModelQuery.Range("spent_minor_units", atLeast: 1),
        sortField: "spent_minor_units", isDescending: true, limit: limit, cursor: cursor),
      of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
  }
}
