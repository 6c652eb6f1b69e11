import Commerce
import EventSourcing

/// Which sagas wait, and for how long: what operators and gauges ask. Each question is answered by
/// an index that holds the sagas that have not ended, and no others.
extension SagaQueries {
  /// The sagas of one state.
  public struct Waiting: Sendable, Hashable {
    public var state: String
    /// ``SagaQueries/countMax`` at most.
    public var count: Int
    /// Since when the one that has waited longest is in it; nil when there is none.
    public var oldest: Timestamp?
  }

  /// Counting stops here.
  public static let countMax = 10_000
  private static let pageRows = 500

  /// The ids of sagas that a filter means, as far as the rows know; those that have waited longest
  /// first. Without a state these are sagas that have not ended.
  public func select(
    _ filter: SagaFilter, limit: Int, at now: Timestamp = .now
  ) async throws -> [String] {
    try await stored(filter, limit, now).map(\.id)
  }

  /// The same, as rows.
  public func rows(
    _ filter: SagaFilter, limit: Int, at now: Timestamp = .now
  ) async throws -> [SagaRow] {
    try await stored(filter, limit, now).map { try SagaRow(fields: $0.fields) }
  }

  private func stored(
    _ filter: SagaFilter, _ limit: Int, _ now: Timestamp
  ) async throws -> [StoredRow] {
    if let state = filter.state { return try await rows(filter, in: state, limit, now) }
    var found: [StoredRow] = []
    for state in SagaRow.openStates { found += try await rows(filter, in: state, limit, now) }
    // Those of states that are ends, or before a beginning, wait for a person.
    found += try await rows(filter, in: SagaFilter.suspended, limit, now).filter {
      !SagaRow.openStates.contains($0.fields["state"]?.stringValue ?? "")
    }
    func since(_ row: StoredRow) -> String { row.fields["waiting_since"]?.stringValue ?? "" }
    return found.sorted { (since($0), $0.id) < (since($1), $1.id) }.prefix(limit).map { $0 }
  }

  /// The ids of all sagas that have not ended.
  public func open() async throws -> [String] {
    try await select(SagaFilter(), limit: .max)
  }

  /// How many sagas wait in which state, and for how long.
  public func waiting() async throws -> [Waiting] {
    var waiting: [Waiting] = []
    for state in SagaRow.openStates {
      var query = Self.query(SagaFilter(), in: state, .now)
      query.limit = Self.countMax
      let count = try await reader.count(query, of: projection.name)
      let first = count == 0 ? nil : try await rows(SagaFilter(), in: state, 1, .now).first
      waiting.append(
        Waiting(
          state: state, count: count,
          oldest: try first?.fields.timestampIfPresent("waiting_since")))
    }
    return waiting
  }

  /// How many sagas are suspended, ``countMax`` at most.
  public func suspendedCount() async throws -> Int {
    var query = Self.query(SagaFilter(), in: SagaFilter.suspended, .now)
    query.limit = Self.countMax
    return try await reader.count(query, of: projection.name)
  }

  private func rows(
    _ filter: SagaFilter, in state: String, _ limit: Int, _ now: Timestamp
  ) async throws -> [StoredRow] {
    var rows: [StoredRow] = []
    var query = Self.query(filter, in: state, now)
    repeat {
      query.limit = min(limit - rows.count, Self.pageRows)
      let page = try await reader.page(
        query, of: projection.name, minimumPosition: nil, waitMax: .zero)
      rows += page.value.rows
      query.cursor = page.value.next
    } while query.cursor != nil && rows.count < limit
    return rows
  }

  private static func query(
    _ filter: SagaFilter, in state: String, _ now: Timestamp
  ) -> ReadModelQuery {
    let latest = filter.olderThanSeconds.map {
      Value.string(now.adding(seconds: -$0).iso8601)
    }
    var equals: Fields = [:]
    equals["definition"] = filter.definition.map(Value.string)
    if state == SagaFilter.suspended {
      return ReadModelQuery(
        equals: equals, range: .init("suspended_since", atLeast: "", atMost: latest),
        sortField: "suspended_since")
    }
    equals["state"] = .string(state)
    guard SagaRow.openStates.contains(state) else {
      return ReadModelQuery(
        equals: equals, range: latest.map { .init("updated_at", atMost: $0) },
        sortField: "position_started")
    }
    return ReadModelQuery(
      equals: equals, range: .init("waiting_since", atLeast: "", atMost: latest),
      sortField: "waiting_since")
  }
}
