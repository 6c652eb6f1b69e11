import EventSourcing

/// Checkpoints, leases and rows as one process sees them.
final class SimulatedStore: ReadModelStore, @unchecked Sendable {
  private let base: InMemoryReadModels
  private let world: World
  private unowned let process: SimulatedProcess

  init(world: World, process: SimulatedProcess) {
    base = world.store
    self.world = world
    self.process = process
  }

  /// Something is asked, or written that needs no crash of its own.
  private func call() async throws {
    try await process.step()
    if world.fails(\.readFails) { throw Unreachable() }
  }

  // MARK: Checkpoints and leases

  func checkpoint(of subscription: String) async throws -> Position {
    try await call()
    return try await base.checkpoint(of: subscription)
  }

  func saveCheckpoint(_ position: Position, of subscription: String) async throws {
    try await process.reach("save \(subscription) at \(position)")
    world.willSave(position, of: subscription)
    try await base.saveCheckpoint(position, of: subscription)
    try await process.reach("saved")
  }

  func progress(of projection: String) async throws -> ProjectionProgress? {
    try await call()
    return try await base.progress(of: projection)
  }

  func acquire(
    _ projection: String, version: Int, owner: String, for duration: Duration,
    _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress? {
    try await call()
    let leased = try await base.acquire(
      projection, version: version, owner: owner, for: duration, takeover)
    if leased != nil { world.tell("\(process.name): works on \(projection)") }
    return leased
  }

  func request(_ projection: String, by owner: String) async throws {
    try await call()
    try await base.request(projection, by: owner)
  }

  func renew(_ lease: Lease, for duration: Duration) async throws -> Bool {
    try await call()
    return try await base.renew(lease, for: duration)
  }

  func release(_ lease: Lease) async throws {
    try await call()
    try await base.release(lease)
  }

  func holder(of projection: String) async throws -> LeaseHolder? {
    try await call()
    return try await base.holder(of: projection)
  }

  func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState {
    try await process.reach("save \(progress.projection) at \(progress.position)")
    let state = try await base.save(progress, holding: lease, for: duration)
    try await process.reach("saved")
    return state
  }

  func remove(_ lease: Lease) async throws {
    try await call()
    try await base.remove(lease)
  }

  // MARK: Rows

  func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws {
    try await call()
    try await base.prepare(collection, indexes: indexes)
  }

  func drop(_ collection: String) async throws {
    try await call()
    try await base.drop(collection)
  }

  func load(_ ids: [String], from collection: String) async throws -> [String: StoredRow] {
    try await call()
    return try await base.load(ids, from: collection)
  }

  func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    try await process.reach("write \(rows.count) rows of \(collection)")
    try await base.write(rows, to: collection, before: deadline)
  }

  func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int {
    try await process.reach("insert \(rows.count) rows of \(collection)")
    return try await base.insert(rows, into: collection, before: deadline)
  }

  func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow] {
    try await call()
    return try await base.find(query, in: collection)
  }

  func count(_ query: ReadModelQuery, in collection: String) async throws -> Int {
    try await call()
    return try await base.count(query, in: collection)
  }

  func rows(
    of collection: String, after id: String?, limit: Int
  ) async throws -> [StoredRow] {
    try await call()
    return try await base.rows(of: collection, after: id, limit: limit)
  }

  func compare(_ old: String, with new: String) async throws -> RowComparison {
    try await call()
    return try await base.compare(old, with: new)
  }
}
