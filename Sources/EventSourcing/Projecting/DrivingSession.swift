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
    // Left by a rebuild that died after the switch. A living one drops it when its readers are done.
    let rebuild = ProjectionProgress.rebuildName(of: projection.name)
    if try await store.holder(of: rebuild)?.isExpired ?? true {
      try await store.dropPredecessor(of: progress)
    }
  }

  /// Applies a batch: one load, a fold in memory, one commit. Answers the event that it has stopped
  /// at, if any; everything before that one is applied.
  mutating func apply(_ events: [Recorded]) async throws -> ProjectionPoisoned? {
    guard let last = events.last else { return nil }
    guard let poison = try await fold(events) else {
      var moved = progress
      moved.position = last.position
      (moved.failure, moved.parked) = (nil, nil)
      try await commitChanges(moved)
      return nil
    }
    // The fold has changed rows in place that the poisonous event touched: once more, without it.
    rows.removeAll()
    let before = events.filter { $0.position < poison.position }
    if let other = try await fold(before) { throw other }
    var moved = progress
    moved.position = Position(poison.position.rawValue - 1)
    moved.failure = poison.description
    let since = progress.parked.flatMap { $0.position == poison.position ? $0.since : nil }
    moved.parked = ParkedEvent(poison, since: since ?? .now)
    try await commitChanges(moved)
    return poison
  }

  private mutating func fold(_ events: [Recorded]) async throws -> ProjectionPoisoned? {
    rows.beginRound()
    let touches = projection.touches(of: events, skipping: operations.positions)
    let missing = rows.missing(of: touches.ids)
    if !missing.isEmpty {
      let loaded = try await store.load(missing, from: progress.collection)
      try projection.take(
        Array(loaded.values), absent: missing.filter { loaded[$0] == nil }, into: &rows)
    }
    return projection.fold(touches, of: events, into: &rows)
  }

  private mutating func commitChanges(_ moved: ProjectionProgress) async throws {
    try await commit(projection.stored(rows.takeChanged()), moved)
    _ = rows.evict(downTo: Self.rowsMax)
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
    if .now - renewedAt >= pause {
      return try await commit([], progress)
    }
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

  public init(rows: Int, program: Int) {
    self.rows = rows
    self.program = program
  }

  public var description: String {
    "the rows were made by version \(rows) of the fold, this program has version \(program): "
      + "rebuild the read model"
  }
}

extension ReadModelStore {
  /// Drops the rows that served before the ones that serve.
  func dropPredecessor(of serving: ProjectionProgress) async throws {
    guard serving.generation > 1 else { return }
    var old = serving
    old.generation -= 1
    try await drop(old.collection)
  }
}
