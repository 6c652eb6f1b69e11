import Synchronization

/// Rows and checkpoints in memory: the second conformer of ``ReadModelStore``.
public final class InMemoryReadModels: ReadModelStore {
  private struct State {
    var collections: [String: [String: StoredRow]] = [:]
    var progress: [String: ProjectionProgress] = [:]
    var checkpoints: [String: Position] = [:]
  }

  private let state = Mutex(State())

  public init() {}

  public func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws {
    state.withLock { $0.collections[collection, default: [:]] = $0.collections[collection] ?? [:] }
  }

  public func drop(_ collection: String) async throws {
    state.withLock { $0.collections[collection] = nil }
  }

  public func load(
    _ ids: [String], from collection: String
  ) async throws -> [String: StoredRow] {
    state.withLock { state in
      let rows = state.collections[collection] ?? [:]
      return Dictionary(
        ids.compactMap { id in rows[id].map { (id, $0) } }, uniquingKeysWith: { first, _ in first })
    }
  }

  public func write(_ rows: [StoredRow], to collection: String) async throws {
    state.withLock { state in
      for row in rows
      where state.collections[collection]?[row.id]?.position ?? .start < row.position {
        state.collections[collection, default: [:]][row.id] = row
      }
    }
  }

  public func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow] {
    let rows = state.withLock { Array(($0.collections[collection] ?? [:]).values) }
    let selected = rows.filter { row in
      query.equals.entries.allSatisfy { row.fields[$0.key] == $0.value }
        && query.range.map { Self.isIn($0, row) } ?? true
    }
    let sorted = selected.sorted { left, right in
      let ascending = Self.precedes(
        (Self.sortValue(query, left), left.id), (Self.sortValue(query, right), right.id))
      return query.isDescending ? !ascending && left.id != right.id : ascending
    }
    let after = sorted.drop { row in
      guard let cursor = query.cursor else { return false }
      let place = (Self.sortValue(query, row), row.id)
      let start = (cursor.sortValue, cursor.id)
      return query.isDescending
        ? !Self.precedes(place, start) : !Self.precedes(start, place)
    }
    return Array(after.prefix(query.limit))
  }

  public func rows(
    of collection: String, after id: String?, limit: Int
  ) async throws -> [StoredRow] {
    state.withLock { state in
      let rows = (state.collections[collection] ?? [:]).values
      return Array(
        rows.filter { row in id.map { row.id > $0 } ?? true }.sorted { $0.id < $1.id }.prefix(limit)
      )
    }
  }

  public func progress(of projection: String) async throws -> ProjectionProgress? {
    state.withLock { $0.progress[projection] }
  }

  public func save(
    _ progress: ProjectionProgress, replacing generation: Int
  ) async throws -> Bool {
    state.withLock { state in
      let stored = state.progress[progress.projection]
      guard stored?.generation ?? 0 == generation,
        stored?.position ?? .start <= progress.position
      else { return false }
      state.progress[progress.projection] = progress
      return true
    }
  }

  public func checkpoint(of subscription: String) async throws -> Position {
    state.withLock { $0.checkpoints[subscription] ?? .start }
  }

  public func saveCheckpoint(_ position: Position, of subscription: String) async throws {
    state.withLock {
      $0.checkpoints[subscription] = max($0.checkpoints[subscription] ?? .start, position)
    }
  }

  private static func sortValue(_ query: ReadModelQuery, _ row: StoredRow) -> Value {
    query.sortField.map { row.fields[$0] ?? .null } ?? .null
  }

  private static func isIn(_ range: ReadModelQuery.Range, _ row: StoredRow) -> Bool {
    let value = row.fields[range.field] ?? .null
    if let least = range.atLeast, order(value, least) < 0 { return false }
    if let most = range.atMost, order(value, most) > 0 { return false }
    return true
  }

  private static func precedes(_ left: (Value, String), _ right: (Value, String)) -> Bool {
    let order = order(left.0, right.0)
    return order == 0 ? left.1 < right.1 : order < 0
  }

  /// BSON's order for the kinds that rows are sorted by: null, numbers, strings, others.
  private static func order(_ left: Value, _ right: Value) -> Int {
    if let left = left.decimalValue, let right = right.decimalValue {
      let difference = Double(left) - Double(right)
      return difference < 0 ? -1 : difference > 0 ? 1 : 0
    }
    if case .string(let left) = left, case .string(let right) = right {
      return left < right ? -1 : left > right ? 1 : 0
    }
    return rank(left) - rank(right)
  }

  private static func rank(_ value: Value) -> Int {
    switch value {
    case .null: 0
    case .integer, .decimal: 1
    case .string: 2
    case .object: 3
    case .array: 4
    case .bool: 5
    }
  }
}

extension Double {
  fileprivate init(_ decimal: FixedDecimal) {
    var divisor = 1.0
    for _ in 0..<decimal.scale { divisor *= 10 }
    self = Double(decimal.unscaled) / divisor
  }
}
