import Logging
import ServiceLifecycle

/// Keeps one read model up to date: reads the log after the checkpoint, folds, writes rows, then
/// the checkpoint. A crash between the two writes the same rows again, which changes nothing.
public final class ProjectionDriver<P: Projection>: Service {
  private let projection: P
  private let log: any EventLog
  private let store: any ReadModelStore
  private let board: ProjectionBoard
  private let logger: Logger
  private let batchCommitsMax: Int

  /// A batch while there are many requests, so that the pause that it makes necessary is short.
  private static var smallBatchMax: Int { 100 }
  /// Well below what a rebuild leaves to readers of the old rows (``ProjectionRebuild``), and what
  /// a reader waits for a position.
  private static var pauseMax: Duration { .seconds(1) }

  public init(
    _ projection: P, log: any EventLog, store: any ReadModelStore, board: ProjectionBoard,
    logger: Logger, batchCommitsMax: Int = 1000
  ) {
    self.projection = projection
    self.log = log
    self.store = store
    self.board = board
    self.logger = logger
    self.batchCommitsMax = batchCommitsMax
  }

  /// Runs until cancelled or told to shut down. Faults of the store are waited out.
  public func run() async throws {
    defer { board.remove(projection.name) }
    await cancelWhenGracefulShutdown { [self] in
      var failures = 0
      while !Task.isCancelled {
        do {
          try await follow(&failures)
        } catch is CancellationError {
          return
        } catch let poison as ProjectionPoisoned {
          failures += 1
          logger.critical("\(poison)")
          await record(poison)
          try? await Task.sleep(for: .seconds(5))
        } catch {
          if Task.isCancelled { return }
          failures += 1
          logger.warning(
            "projection cannot go on, trying again",
            metadata: ["projection": "\(projection.name)", "error": "\(error)"])
          board.report(projection.name, failure: "\(error)")
          try? await Task.sleep(for: Backoff.standard.delay(attempt: failures))
        }
      }
    }
  }

  private func follow(_ failures: inout Int) async throws {
    var progress = try await Self.start(projection, store: store)
    board.publish(progress)
    var isBehind = true
    var isGivingWay = false
    while !Task.isCancelled {
      if !isBehind {
        // Who has come to the end need not ask the database to know that.
        await log.waitForEvents(after: progress.position, timeout: .seconds(1))
      }
      let begun = ContinuousClock.now
      let limit = isGivingWay ? Self.smallBatchMax : batchCommitsMax
      let moved = try await Self.step(
        projection, from: progress, log: log, store: store, limit: limit)
      if let moved {
        guard try await store.save(moved, replacing: progress.generation) else {
          return  // a rebuild has flipped the pointer: start again from it
        }
        isBehind = moved.position.rawValue - progress.position.rawValue >= Int64(limit)
        progress = moved
        failures = 0
        board.publish(progress)
        isGivingWay = await log.giveWay(atMost: min((.now - begun) * 20, Self.pauseMax))
      } else {
        isBehind = false
        board.publish(progress)
        if let stored = try await store.progress(of: projection.name),
          stored.generation != progress.generation
        {
          return
        }
      }
    }
  }

  private func record(_ poison: ProjectionPoisoned) async {
    board.report(projection.name, failure: poison.description)
    guard var progress = try? await store.progress(of: projection.name) else { return }
    progress.failure = poison.description
    _ = try? await store.save(progress, replacing: progress.generation)
  }

  /// The stored progress, or a first generation at the start of the log.
  static func start(_ projection: P, store: any ReadModelStore) async throws -> ProjectionProgress {
    if let stored = try await store.progress(of: projection.name) {
      try await store.prepare(stored.collection, indexes: projection.indexes)
      return stored
    }
    let first = ProjectionProgress(
      projection: projection.name, generation: 1, position: .start)
    try await store.prepare(first.collection, indexes: projection.indexes)
    guard try await store.save(first, replacing: 0) else {
      return try await store.progress(of: projection.name) ?? first
    }
    return first
  }

  /// Applies one batch and answers the progress after it; nil when there was nothing to read.
  static func step(
    _ projection: P, from progress: ProjectionProgress, log: any EventLog,
    store: any ReadModelStore, limit: Int
  ) async throws -> ProjectionProgress? {
    let commits = try await log.read(after: progress.position, limit: limit)
    guard let last = commits.last else { return nil }
    do {
      return try await apply(commits, projection, progress, store, through: last)
    } catch let poison as ProjectionPoisoned {
      // Everything before the poisonous commit still counts.
      let before = commits.filter { $0.header.lastPosition < poison.position }
      guard let last = before.last else { throw poison }
      return try await apply(before, projection, progress, store, through: last)
    }
  }

  private static func apply(
    _ commits: [RecordedCommit], _ projection: P, _ progress: ProjectionProgress,
    _ store: any ReadModelStore, through last: RecordedCommit
  ) async throws -> ProjectionProgress {
    let collection = progress.collection
    let rows = try await projection.fold(commits.flatMap(\.events)) { ids in
      try await store.load(ids, from: collection)
    }
    if !rows.isEmpty { try await store.write(rows, to: collection) }
    var moved = progress
    moved.position = last.header.lastPosition
    moved.failure = nil
    return moved
  }
}
