import Synchronization

/// Rows and checkpoints in memory: the second conformer of ``ReadModelStore``.
public final class InMemoryReadModels: ReadModelStore {
  fileprivate struct State {
    var collections: [String: [String: StoredRow]] = [:]
    var progress: [String: ProjectionProgress] = [:]
    var leases: [String: Held] = [:]
    var checkpoints: [String: Position] = [:]
  }

  fileprivate struct Held {
    var owner: String
    var token: Int64
    var until: ContinuousClock.Instant
    var wanted: (by: String, until: ContinuousClock.Instant)?

    /// By whom, if it is not too long ago.
    var wantedBy: String? { wanted.flatMap { $0.until > .now ? $0.by : nil } }
  }

  /// How long a lease is kept for who has asked for it.
  private static let requestDuration: Duration = .seconds(3)

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

  public func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    if let deadline, .now >= deadline { throw LeaseLost() }
    state.withLock { $0.write(rows, to: collection) }
  }

  public func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int {
    if let deadline, .now >= deadline { throw LeaseLost() }
    state.withLock { $0.write(rows, to: collection) }
    return rows.reduce(0) { $0 + JSONWriter.bytes(.object($1.fields)).count }
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

  public func count(_ query: ReadModelQuery, in collection: String) async throws -> Int {
    try await find(query, in: collection).count
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

  public func compare(_ old: String, with new: String) async throws -> RowComparison {
    state.withLock { state in
      let old = state.collections[old] ?? [:]
      let new = state.collections[new] ?? [:]
      var comparison = RowComparison()
      comparison.rows = new.count
      for id in Set(old.keys).union(new.keys).sorted() where old[id] != new[id] {
        if let before = old[id], let after = new[id], before.position == after.position {
          comparison.addDifferent(id)
        } else {
          comparison.addUnsettled(id)
        }
      }
      return comparison
    }
  }

  public func acquire(
    _ projection: String, version: Int, owner: String, for duration: Duration,
    _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress? {
    state.withLock { state in
      let held = state.leases[projection]
      if let held, held.until > .now {
        switch takeover {
        case .whenFree: return nil
        case .whenFreeOrDead(let isDead): guard isDead(held.owner) else { return nil }
        }
      }
      if let other = held?.wantedBy, other != owner { return nil }
      let token = (held?.token ?? 0) + 1
      state.leases[projection] = Held(owner: owner, token: token, until: .now + duration)
      let progress =
        state.progress[projection]
        ?? ProjectionProgress(
          projection: projection, generation: 1, version: version, position: .start)
      state.progress[projection] = progress
      return LeasedProgress(
        lease: Lease(name: projection, owner: owner, token: token), progress: progress)
    }
  }

  public func renew(_ lease: Lease, for duration: Duration) async throws -> Bool {
    state.withLock { $0.extend(lease, by: duration) }
  }

  public func release(_ lease: Lease) async throws {
    state.withLock { state in
      if state.extend(lease, by: .zero) { state.leases[lease.name]?.token += 1 }
    }
  }

  public func holder(of projection: String) async throws -> LeaseHolder? {
    state.withLock { state in
      state.leases[projection].map {
        LeaseHolder(owner: $0.owner, token: $0.token, isExpired: $0.until <= .now)
      }
    }
  }

  public func request(_ projection: String, by owner: String) async throws {
    state.withLock { state in
      state.leases[projection]?.wanted = (owner, .now + Self.requestDuration)
    }
  }

  public func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState {
    state.withLock { state in
      guard state.extend(lease, by: duration) else { return .lost }
      state.progress[lease.name] = progress
      return state.leases[lease.name]?.wantedBy == nil ? .held : .wanted
    }
  }

  public func remove(_ lease: Lease) async throws {
    state.withLock { state in
      guard state.extend(lease, by: .zero) else { return }
      state.progress[lease.name] = nil
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

extension InMemoryReadModels.State {
  mutating func write(_ rows: [StoredRow], to collection: String) {
    for row in rows where collections[collection]?[row.id]?.position ?? .start < row.position {
      collections[collection, default: [:]][row.id] = row
    }
  }

  /// False when the lease is not held any more.
  mutating func extend(_ lease: Lease, by duration: Duration) -> Bool {
    guard leases[lease.name]?.token == lease.token else { return false }
    leases[lease.name]?.until = .now + duration
    return true
  }
}

extension Double {
  fileprivate init(_ decimal: FixedDecimal) {
    var divisor = 1.0
    for _ in 0..<decimal.scale { divisor *= 10 }
    self = Double(decimal.unscaled) / divisor
  }
}
