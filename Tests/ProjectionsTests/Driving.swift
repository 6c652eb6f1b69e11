import EventSourcing
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
    projection, log: log, store: store, board: board, logger: quiet,
    batchCommitsMax: batchCommitsMax)
  let running = Task { try await driver.run() }
  let head = try await log.head()
  // The driver publishes its first progress soon after it starts.
  while board.status(of: projection.name)?.progress.position ?? .start < head,
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

/// A store that dies between writing rows and saving the checkpoint: every batch is applied twice,
/// the first time perhaps only in part.
final class CrashingReadModels: ReadModelStore {
  struct Crash: Error {}

  let rows = InMemoryReadModels()
  private let crashed = Mutex(Set<Position>())

  var crashes: Int { crashed.withLock(\.count) }

  /// Whether this is the first attempt to get to `position`.
  private func crashes(at position: Position) -> Bool {
    crashed.withLock { $0.insert(position).inserted }
  }

  func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws {
    try await rows.prepare(collection, indexes: indexes)
  }
  func drop(_ collection: String) async throws { try await rows.drop(collection) }
  func load(_ ids: [String], from collection: String) async throws -> [String: StoredRow] {
    try await rows.load(ids, from: collection)
  }
  func write(_ batch: [StoredRow], to collection: String) async throws {
    if let last = batch.map(\.position).max(), crashes(at: last) {
      try await rows.write(Array(batch.prefix(batch.count / 2)), to: collection)
      throw Crash()
    }
    try await rows.write(batch, to: collection)
  }
  func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow] {
    try await rows.find(query, in: collection)
  }
  func rows(of collection: String, after id: String?, limit: Int) async throws -> [StoredRow] {
    try await rows.rows(of: collection, after: id, limit: limit)
  }
  func progress(of projection: String) async throws -> ProjectionProgress? {
    try await rows.progress(of: projection)
  }
  func save(_ progress: ProjectionProgress, replacing generation: Int) async throws -> Bool {
    // Negative: apart from the crashes while writing rows.
    if progress.position > .start, crashes(at: Position(-progress.position.rawValue)) {
      throw Crash()
    }
    return try await rows.save(progress, replacing: generation)
  }
  func checkpoint(of subscription: String) async throws -> Position {
    try await rows.checkpoint(of: subscription)
  }
  func saveCheckpoint(_ position: Position, of subscription: String) async throws {
    try await rows.saveCheckpoint(position, of: subscription)
  }
}
