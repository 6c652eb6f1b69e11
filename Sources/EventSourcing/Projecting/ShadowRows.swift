/// The rows of a rebuild: folded in memory, written to the shadow collection when there are too
/// many of them or when a checkpoint is made. Memory stays bounded however long the log is.
struct ShadowRows<P: Projection> {
  /// Writes that are under way at a time.
  private static var writesMax: Int { 2 }
  private static var writeRowsMax: Int { 2000 }
  /// Rows in memory before their size is known.
  private static var rowsMaxAtFirst: Int { 10_000 }

  private let projection: P
  private let log: any EventLog
  private let store: any ReadModelStore
  private let collection: String
  /// Events that are left out.
  var skipped: Set<Position>
  /// Set while it works beside somebody who drives the serving rows.
  var livePace: LivePace?
  private let memoryBytesMax: Int
  private let readersMax: Int
  private let checkpointPause: Duration

  private var rows = FoldedRows<P.Row>()
  private var known = IDFilter()
  private var rowsMax = Self.rowsMaxAtFirst
  private var written = (rows: 0, bytes: 0)
  private var writes: [Task<(rows: Int, bytes: Int), any Error>] = []
  /// Rows touched since somebody asked, when somebody wants to know.
  private var touched: Set<String>?

  /// Rows that the collection holds or is going to.
  private(set) var count = 0
  /// Everything up to here is folded; not all of it need be written.
  private(set) var position: Position

  /// - Parameters:
  ///   - position: up to where the collection is written; what it holds beyond is not applied twice.
  init(
    _ projection: P, log: any EventLog, store: any ReadModelStore, collection: String,
    skipped: Set<Position>, from position: Position, _ settings: RebuildSettings
  ) {
    self.projection = projection
    self.log = log
    self.store = store
    self.collection = collection
    self.skipped = skipped
    self.position = position
    memoryBytesMax = settings.memoryBytesMax
    readersMax = settings.readersMax
    checkpointPause = settings.checkpointPause
  }

  /// Takes note of the rows that the collection holds already.
  mutating func readKnownIDs() async throws {
    var after: String?
    while true {
      let page = try await store.rows(of: collection, after: after, limit: 2000)
      for row in page { known.insert(row.id) }
      count += page.count
      guard let last = page.last else { return }
      after = last.id
    }
  }

  /// Folds the log on to `target`, and every now and then writes all rows, so that a rebuild that is
  /// ended goes on from there.
  /// - Parameters:
  ///   - progressed: called after each slice with its last position.
  ///   - checkpoint: called when the collection is the fold up to a position.
  /// - Throws: ``ProjectionPoisoned``.
  mutating func fold(
    to target: Position, progressed: (Position) -> Void,
    checkpoint: (Position) async throws -> Void
  ) async throws {
    guard position < target else { return }
    var nextCheckpoint = ContinuousClock.now + checkpointPause
    var readers = SliceReaders(
      log, for: projection.consumes, after: position, through: target, readersMax: readersMax)
    defer { readers.cancel() }
    while let slice = try await readers.nextSlice() {
      try Task.checkCancellation()
      try await fold(slice.events)
      position = slice.through
      progressed(position)
      if .now >= nextCheckpoint {
        try await flush()
        try await checkpoint(position)
        nextCheckpoint = .now + checkpointPause
      }
      try await livePace?.giveWay()
    }
  }

  private mutating func fold(_ events: [Recorded]) async throws {
    rows.beginRound()
    let touches = projection.touches(of: events, skipping: skipped)
    let ids = touches.ids
    touched?.formUnion(ids)
    let missing = rows.missing(of: ids)
    if !missing.isEmpty { try await take(missing) }
    if let poison = projection.fold(touches, of: events, into: &rows) { throw poison }
    if rows.count > rowsMax { try await spill(rows.evict(downTo: rowsMax / 2)) }
  }

  private mutating func take(_ missing: [String]) async throws {
    let perhaps = missing.filter(known.mayContain)
    var loaded: [String: StoredRow] = [:]
    if !perhaps.isEmpty {
      // Rows on their way are not in the collection yet.
      try await finishWrites()
      loaded = try await store.load(perhaps, from: collection)
    }
    try projection.take(
      Array(loaded.values), absent: missing.filter { loaded[$0] == nil }, into: &rows)
  }

  /// Writes all rows that have changed. Afterwards the collection is the fold up to ``position``.
  mutating func flush() async throws {
    try await spill(rows.takeChanged())
    try await finishWrites()
  }

  private mutating func spill(_ changed: [FoldedRows<P.Row>.Changed]) async throws {
    for row in changed where !row.isStored {
      known.insert(row.id)
      count += 1
    }
    for stored in [false, true] {
      let rows = changed.filter { $0.isStored == stored }
      for start in stride(from: 0, to: rows.count, by: Self.writeRowsMax) {
        let part = Array(rows[start..<min(start + Self.writeRowsMax, rows.count)])
        if writes.count >= Self.writesMax { try await finishWrite() }
        writes.append(write(part, replacing: stored))
        try await livePace?.giveWay()
      }
    }
  }

  private func write(
    _ part: [FoldedRows<P.Row>.Changed], replacing: Bool
  ) -> Task<(rows: Int, bytes: Int), any Error> {
    let (projection, store, collection) = (projection, store, collection)
    return Task {
      let rows = projection.stored(part)
      if replacing {
        try await store.write(rows, to: collection)
        return (0, 0)
      }
      return (rows.count, try await store.insert(rows, into: collection))
    }
  }

  private mutating func finishWrites() async throws {
    while !writes.isEmpty { try await finishWrite() }
  }

  private mutating func finishWrite() async throws {
    let done = try await writes.removeFirst().value
    written.rows += done.rows
    written.bytes += done.bytes
    guard written.rows > 0 else { return }
    // A row in memory takes about four times as much as it does in the store.
    let size = max(1, written.bytes / written.rows * 4)
    rowsMax = min(max(memoryBytesMax / size, 1000), 200_000)
  }

  /// Begins to note which rows are touched.
  mutating func beginNoting() { touched = [] }

  /// The rows that were touched since the last time.
  mutating func takeTouched() -> Set<String> {
    guard let noted = touched else { return [] }
    touched = []
    return noted
  }
}
