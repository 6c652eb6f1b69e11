import Commerce
import EventSourcing

/// Answers how far choreographed orders are, and which are stuck.
///
/// Nobody conducts these orders, so nobody can say that one has failed to go on: that one is stuck
/// is judged when it is asked for, by how long ago its last event was.
public struct ChoreographyQueries: Sendable {
  /// How long an order may stand still before it counts as stuck.
  public static let stuckAfterSeconds: Int64 = 60
  /// Counting stuck orders stops here.
  public static let stuckCountMax = 1000

  private let reader: ReadModelReader
  private let stuckAfterSeconds: Int64
  private let now: @Sendable () -> Timestamp
  private let projection = ChoreographiesProjection()

  public init(
    reader: ReadModelReader, stuckAfterSeconds: Int64 = Self.stuckAfterSeconds,
    now: @escaping @Sendable () -> Timestamp = { .now }
  ) {
    self.reader = reader
    self.stuckAfterSeconds = stuckAfterSeconds
    self.now = now
  }

  /// The row of an order with `is_stuck`; nil for an order that is not choreographed.
  public func ofOrder(
    _ order: OrderID, minimumPosition: Position? = nil, waitMax: Duration = .zero
  ) async throws -> QueryAnswer<Fields?> {
    var answer = try await reader.json(
      order.sagaID, of: projection, minimumPosition: minimumPosition, waitMax: waitMax)
    answer.value = answer.value.map(judged)
    // Becoming stuck is no event: an answer that says so is another one.
    if answer.value?["is_stuck"] == true { answer.mark += ".stuck" }
    return answer
  }

  /// How many orders are stuck, at most ``stuckCountMax``.
  public func stuckCount() async throws -> Int { try await stuckRows().count }

  /// The orders that are stuck, those first that have waited longest; at most ``stuckCountMax``.
  public func stuck() async throws -> [ChoreographyRow] {
    try await stuckRows().map { try ChoreographyRow(fields: $0.fields) }
  }

  private func stuckRows() async throws -> [StoredRow] {
    let page = try await reader.page(
      ReadModelQuery(
        equals: ["is_ended": false],
        range: .init("waiting_since", atMost: .string(stuckBefore.iso8601)),
        sortField: "waiting_since", limit: Self.stuckCountMax),
      of: projection.name, minimumPosition: nil, waitMax: .zero)
    return page.value.rows
  }

  /// A row with the verdict of this moment.
  func judged(_ row: Fields) -> Fields {
    var judged = row
    let since = row["waiting_since"]?.stringValue.flatMap { Timestamp(iso8601: $0) }
    judged["is_stuck"] = .bool(since.map { $0 <= stuckBefore } ?? false)
    return judged
  }

  private var stuckBefore: Timestamp { now().adding(seconds: -stuckAfterSeconds) }
}
