import EventSourcing

/// A store that hands everything on to another one; a test's own store does some of it by itself.
public protocol ForwardingReadModels: ReadModelStore {
  var base: any ReadModelStore { get }
}

extension ForwardingReadModels {
  public func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws {
    try await base.prepare(collection, indexes: indexes)
  }
  public func drop(_ collection: String) async throws { try await base.drop(collection) }
  public func load(_ ids: [String], from collection: String) async throws -> [String: StoredRow] {
    try await base.load(ids, from: collection)
  }
  public func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    try await base.write(rows, to: collection, before: deadline)
  }
  public func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int {
    try await base.insert(rows, into: collection, before: deadline)
  }
  public func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow] {
    try await base.find(query, in: collection)
  }
  public func count(_ query: ReadModelQuery, in collection: String) async throws -> Int {
    try await base.count(query, in: collection)
  }
  public func rows(
    of collection: String, after id: String?, limit: Int
  ) async throws -> [StoredRow] {
    try await base.rows(of: collection, after: id, limit: limit)
  }
  public func compare(_ old: String, with new: String) async throws -> RowComparison {
    try await base.compare(old, with: new)
  }
  public func progress(of projection: String) async throws -> ProjectionProgress? {
    try await base.progress(of: projection)
  }
  public func acquire(
    _ projection: String, version: Int, owner: String, for duration: Duration,
    _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress? {
    try await base.acquire(
      projection, version: version, owner: owner, for: duration, takeover)
  }
  public func renew(_ lease: Lease, for duration: Duration) async throws -> Bool {
    try await base.renew(lease, for: duration)
  }
  public func release(_ lease: Lease) async throws { try await base.release(lease) }
  public func holder(of projection: String) async throws -> LeaseHolder? {
    try await base.holder(of: projection)
  }
  public func request(_ projection: String, by owner: String) async throws {
    try await base.request(projection, by: owner)
  }
  public func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState {
    try await base.save(progress, holding: lease, for: duration)
  }
  public func remove(_ lease: Lease) async throws { try await base.remove(lease) }
  public func checkpoint(of subscription: String) async throws -> Position {
    try await base.checkpoint(of: subscription)
  }
  public func saveCheckpoint(_ position: Position, of subscription: String) async throws {
    try await base.saveCheckpoint(position, of: subscription)
  }
}
