/// The time that a driver holds one lease: its rows in memory are those of the store as long as
/// every commit has succeeded. After an error the session is over.
struct DrivingSession<P: Projection> {
  /// Rows that are kept in memory between batches.
  private static var rowsMax: Int { 10_000 }

  private let projection: P
  private let store: any ReadModelStore
  private let board: ProjectionBoard
  private let lease: Lease
  private var rows = FoldedRows<P.Row>()
  private var operations = ProjectionOperations.History()
  private var renewedAt = ContinuousClock.now
  private(set) var progress: ProjectionProgress

  init(
    _ projection: P, leased: LeasedProgress, store: any ReadModelStore, board: ProjectionBoard
  ) {
    self.projection = projection
    self.store = store
    self.board = board
    lease = leased.lease
    progress = leased.progress
  }

  /// - Throws: ``FoldOutdated`` when other code has made the rows.
  mutating func begin(log: any EventLog) async throws {
    if progress.version != projection.version {
      guard progress.position == .start else {
        throw FoldOutdated(rows: progress.version, program: projection.version)
      }
      progress.version = projection.version
    }
    try await store.prepare(progress.collection, indexes: projection.indexes)
    operations = try await ProjectionOperations.history(of: projection.name, in: log)
    try await keepLease(after: .zero)
  }

  /// Applies a batch: one load, a fold in memory, one commit. Answers the event that it has stopped
  /// at, if any; everything before that one is applied.
  mutating func apply(_ events: [Recorded]) async throws -> ProjectionPoisoned? {
    guard let last = events.last else { return nil }
    rows.beginRound()
    let touches = projection.touches(of: events, skipping: operations.positions)
    let missing = rows.missing(of: touches.ids)
    if !missing.isEmpty {
      let loaded = try await store.load(missing, from: progress.collection)
      try projection.take(
        Array(loaded.values), absent: missing.filter { loaded[$0] == nil }, into: &rows)
    }
    let poison = projection.fold(touches, of: events, into: &rows)
    var moved = progress
    moved.position = poison.map { Position($0.position.rawValue - 1) } ?? last.position
    moved.failure = poison?.description
    moved.parked = poison.map { poison in
      let since = progress.parked.flatMap { $0.position == poison.position ? $0.since : nil }
      return ParkedEvent(poison, since: since ?? .now)
    }
    try await commit(projection.stored(rows.takeChanged()), moved)
    _ = rows.evict(downTo: Self.rowsMax)
    return poison
  }

  private mutating func commit(_ rows: [StoredRow], _ moved: ProjectionProgress) async throws {
    let sent = ContinuousClock.now
    guard
      try await store.commit(rows, moved, holding: lease, for: ProjectionLease.duration)
    else { throw LeaseLost() }
    renewedAt = sent
    progress = moved
    board.publish(moved, changed: rows, until: sent + ProjectionLease.duration)
  }

  /// Holds the lease for longer when it is time for that.
  mutating func keepLease(after pause: Duration = ProjectionLease.renewalPause / 2) async throws {
    if .now - renewedAt >= pause { return try await commit([], progress) }
    board.publish(progress, changed: [], until: renewedAt + ProjectionLease.duration)
  }

  /// Whether an operator has done something since the last look.
  mutating func readOperations(log: any EventLog) async throws -> Bool {
    let stream = ProjectionOperations.stream(of: projection.name)
    guard try await log.version(of: stream) > operations.version else { return false }
    operations = try await ProjectionOperations.history(of: projection.name, in: log)
    return true
  }
}

/// The rows were made by another version of the fold: folding them on would mix the two.
public struct FoldOutdated: Error, Sendable, CustomStringConvertible {
  public var rows: Int
  public var program: Int
  public var description: String {
    "the rows were made by version \(rows) of the fold, this program has version \(program): "
      + "rebuild the read model"
  }
}
