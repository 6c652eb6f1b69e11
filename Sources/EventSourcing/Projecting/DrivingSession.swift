import Synchronization

/// The time that a driver holds one lease: its rows in memory are those of the store as long as
/// every write has succeeded. After an error the session is over.
struct DrivingSession<P: Projection> {
  /// Rows that are kept in memory between batches.
  private static var rowsMax: Int { 10_000 }
  /// Batches after which a save that is under way is waited for.
  private static var unsavedBatchesMax: Int { 4 }
  /// Events that rows may be ahead of the stored progress, and a batch.
  private static var unsavedEventsMax: Int { 3 * ProjectionPace.eventsMax }

  private let projection: P
  private let store: any ReadModelStore
  private let board: ProjectionBoard
  private let lease: Lease
  private var rows = FoldedRows<P.Row>()
  private var operations = ProjectionOperations.History()
  private var saving: SaveUnderWay?
  private var savedAt = ContinuousClock.now
  private var renewAt = ContinuousClock.now
  private var unsavedBatches = 0
  /// The position that is stored, or an earlier one.
  private var saved: Position
  /// A write of rows has begun and is not known to be whole.
  private var isWriting = false
  /// Up to here rows may be ahead: who drove before has not ended in peace.
  private var aheadMax: Position
  /// Until when rows may be written: before anybody else can have the lease.
  private var deadline: ContinuousClock.Instant
  /// Everything up to here is in the rows; what is stored of it comes a moment later.
  private(set) var progress: ProjectionProgress

  /// - Parameter acquired: when the lease was asked for, or earlier.
  init(
    _ projection: P, leased: LeasedProgress, acquired: ContinuousClock.Instant,
    store: any ReadModelStore, board: ProjectionBoard
  ) {
    self.projection = projection
    self.store = store
    self.board = board
    lease = leased.lease
    progress = leased.progress
    saved = progress.position
    aheadMax =
      progress.isSettled
      ? .start : progress.position + Self.unsavedEventsMax + ProjectionPace.eventsMax
    deadline = acquired + ProjectionLease.writingDuration
  }

  /// - Throws: ``FoldOutdated`` when other code has made the rows.
  mutating func begin(log: any EventLog) async throws {
    if progress.version != projection.version {
      guard progress.position == .start else {
        throw FoldOutdated(rows: progress.version, program: projection.version)
      }
      progress.version = projection.version
    }
    progress.isSettled = false
    try await save()
    try await store.prepare(progress.collection, indexes: projection.indexes)
    operations = try await ProjectionOperations.history(of: projection.name, in: log)
    // Left by a rebuild that died after the switch. A living one drops it when its readers are done.
    let rebuild = ProjectionProgress.rebuildName(of: projection.name)
    if try await store.holder(of: rebuild)?.isExpired ?? true {
      try await dropPredecessor()
    }
  }

  private mutating func dropPredecessor() async throws {
    guard let old = progress.replacedCollection else { return }
    try await store.drop(old)
    progress.replaced = nil
    try await save()
  }

  /// Applies a batch: one load, a fold in memory, one write. Answers the event that it has stopped
  /// at, if any; everything before that one is applied.
  mutating func apply(_ events: [Recorded]) async throws -> ProjectionPoisoned? {
    guard let last = events.last else { return nil }
    guard let poison = try await fold(events) else {
      var moved = progress
      moved.position = last.position
      (moved.failure, moved.parked) = (nil, nil)
      try await write(moved)
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
    try await write(moved)
    try await save()
    return poison
  }

  private mutating func fold(_ events: [Recorded]) async throws -> ProjectionPoisoned? {
    rows.beginRound()
    let touches = projection.touches(of: events, skipping: operations.positions)
    let missing = rows.missing(of: touches.ids)
    if !missing.isEmpty {
      // Who died may have left rows that are ahead.
      let beginnings = isUnsettled ? [] : projection.beginnings(in: touches, of: events)
      let perhaps = missing.filter { !beginnings.contains($0) }
      let loaded =
        perhaps.isEmpty ? [:] : try await store.load(perhaps, from: progress.collection)
      try projection.take(
        Array(loaded.values), absent: missing.filter { loaded[$0] == nil }, into: &rows)
    }
    return projection.fold(touches, of: events, into: &rows)
  }

  private mutating func write(_ moved: ProjectionProgress) async throws {
    let isFarAhead = progress.position >= saved + Self.unsavedEventsMax
    if isFarAhead || deadline - .now < ProjectionLease.writingDuration / 4 { try await save() }
    let taken = rows.takeChanged()
    let changed = projection.stored(taken)
    if !changed.isEmpty {
      isWriting = true
      let old = zip(changed, taken).filter(\.1.isStored).map(\.0)
      if old.count < changed.count {
        let new = zip(changed, taken).filter { !$1.isStored }.map(\.0)
        try await store.insert(new, into: progress.collection, before: deadline)
      }
      if !old.isEmpty { try await store.write(old, to: progress.collection, before: deadline) }
      isWriting = false
    }
    if rows.count > Self.rowsMax { _ = rows.evict(downTo: Self.rowsMax / 2) }
    progress = moved
    unsavedBatches += 1
    publish(changed)
  }

  private func publish(_ changed: [StoredRow]) {
    board.publish(progress, changed: changed, until: deadline)
  }

  /// For how long nothing need be done if nothing comes.
  var restMax: Duration {
    // Saved soon, or being saved.
    if unsavedBatches > 0 || saving != nil { return ProjectionLease.savePause }
    return max(.zero, renewAt - .now)
  }

  /// Sees to it that the progress is saved, without waiting for it; an idle session holds its lease
  /// in this way. The checkpoint always comes after the rows.
  /// - Throws: ``LeaseLost``, ``LeaseWanted``.
  mutating func keepUp() async throws {
    if let saving {
      if saving.isDone || unsavedBatches > Self.unsavedBatchesMax { try await finishSaving() }
      return
    }
    let due = unsavedBatches > 0 ? savedAt + ProjectionLease.savePause : renewAt
    guard .now >= due else { return publish([]) }
    beginSaving()
  }

  private mutating func beginSaving() {
    savedAt = .now
    renewAt = ProjectionLease.nextRenewal
    unsavedBatches = 0
    saving = SaveUnderWay(progress, lease, store)
  }

  /// Saves the progress and waits for it.
  mutating func save() async throws {
    if saving != nil { try await finishSaving() }
    beginSaving()
    try await finishSaving()
  }

  private mutating func finishSaving() async throws {
    guard let underWay = saving else { return }
    saving = nil
    switch try await underWay.state() {
    case .lost: throw LeaseLost()
    case .wanted: throw LeaseWanted()
    case .held:
      saved = underWay.position
      deadline = max(deadline, underWay.begun + ProjectionLease.writingDuration)
      publish([])
    }
  }

  /// What remains to be done when the session ends in peace: the progress is saved, so that the next
  /// owner of the lease finds the rows at it, and the lease given up.
  mutating func end() async {
    // What it says of the lease is of no interest any more.
    _ = try? await saving?.state()
    saving = nil
    do { try await settle() } catch is LeaseWanted {} catch { return }
    try? await store.release(lease)
  }

  /// Whether rows may be ahead of the progress.
  var isUnsettled: Bool { isWriting || progress.position < aheadMax }

  /// There are no further events: no row is ahead.
  mutating func reachEnd() { aheadMax = .start }

  /// Saves the progress as where all rows stand, unless some may be ahead of it.
  mutating func settle() async throws {
    progress.isSettled = !isUnsettled
    try await save()
  }

  /// Whether an operator has done something since the last look.
  mutating func readOperations(log: any EventLog) async throws -> Bool {
    let stream = ProjectionOperations.stream(of: projection.name)
    guard try await log.version(of: stream) > operations.version else { return false }
    operations = try await ProjectionOperations.history(of: projection.name, in: log)
    return true
  }
}

/// A save that has begun.
private final class SaveUnderWay: Sendable {
  let begun = ContinuousClock.now
  let position: Position
  private let task: Task<LeaseState, any Error>
  private let done: Done

  private final class Done: Sendable {
    let isDone = Mutex(false)
  }

  init(_ progress: ProjectionProgress, _ lease: Lease, _ store: any ReadModelStore) {
    let done = Done()
    self.done = done
    position = progress.position
    task = Task {
      defer { done.isDone.withLock { $0 = true } }
      return try await store.save(progress, holding: lease, for: ProjectionLease.duration)
    }
  }

  var isDone: Bool { done.isDone.withLock { $0 } }

  func state() async throws -> LeaseState { try await task.value }
}

/// Somebody asks for the lease: a rebuild that is about to switch.
struct LeaseWanted: Error {}

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
