import EventSourcing
import EventSourcingTesting
import Logging
import Synchronization
import Testing

private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a projection's driver until it stands at the head of the log, or, when it
/// `stopsAtFailure`, until it reports why it does not get there.
func drive<P: Projection>(
  _ projection: P, log: any EventLog, store: any ReadModelStore,
  board: ProjectionBoard = ProjectionBoard(), batchCommitsMax: Int = 1000,
  stopsAtFailure: Bool = true
) async throws {
  let driver = ProjectionDriver(
    projection, reader: SharedReader(log), store: store, board: board, logger: quiet,
    batchCommitsMax: batchCommitsMax)
  let running = Task { try await driver.run() }
  let head = try await log.head()
  // The driver publishes its first progress soon after it starts.
  while board.progress(of: projection.name)?.position ?? .start < head,
    !stopsAtFailure || board.status(of: projection.name)?.failure == nil
  {
    try await Task.sleep(for: .milliseconds(5))
  }
  running.cancel()
  try await running.value
}

/// All rows of what serves, as the bytes that would be stored.
func serving(_ projection: String, in store: any ReadModelStore) async throws -> [String] {
  let progress = try #require(try await store.progress(of: projection))
  var lines: [String] = []
  var after: String?
  while true {
    let rows = try await store.rows(of: progress.collection, after: after, limit: 500)
    lines += rows.map { row in
      "\(row.id) @\(row.position) \(JSONWriter.text(.object(row.fields)))"
    }
    guard let last = rows.last else { return lines }
    after = last.id
  }
}

/// A store that fails at every position once, before or after it has written rows or saved the
/// progress: every batch is applied twice.
final class CrashingReadModels: ForwardingReadModels {
  struct Crash: Error {}

  let base: any ReadModelStore = InMemoryReadModels()
  private let crashed = Mutex(Set<Position>())

  var crashes: Int { crashed.withLock(\.count) }

  /// Whether this is the first attempt to get to `position`.
  private func crashes(at position: Position) -> Bool {
    crashed.withLock { $0.insert(position).inserted }
  }

  func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    guard let last = rows.map(\.position).max(), crashes(at: last) else {
      return try await base.write(rows, to: collection, before: deadline)
    }
    try await base.write(Array(rows.prefix(rows.count / 2)), to: collection, before: deadline)
    throw Crash()
  }

  func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int {
    guard let last = rows.map(\.position).max(), crashes(at: last) else {
      return try await base.insert(rows, into: collection, before: deadline)
    }
    try await base.insert(Array(rows.prefix(rows.count / 2)), into: collection, before: deadline)
    throw Crash()
  }

  func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState {
    // Negative: apart from the crashes while writing rows.
    let crashes =
      progress.position > .start && crashes(at: Position(-progress.position.rawValue))
    if crashes, progress.position.rawValue.isMultiple(of: 2) { throw Crash() }
    let state = try await base.save(progress, holding: lease, for: duration)
    if crashes { throw Crash() }
    return state
  }
}
