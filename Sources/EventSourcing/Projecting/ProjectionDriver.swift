import Logging
import ServiceLifecycle

/// Keeps one read model up to date: reads the log after the checkpoint, folds, writes rows, then the
/// checkpoint. A crash between the two applies the same events again, which changes nothing.
///
/// Of all processes that run it one drives, by a lease; the others wait for it to die. Who wakes up
/// after its lease may have been taken writes nothing: rows are written before its time is over or
/// not at all, and each checkpoint names the lease's token. An event that cannot be applied stops it,
/// loudly, until an operator says how to go on (``ProjectionOperations``).
public final class ProjectionDriver<P: Projection>: Service {
  private let projection: P
  private let reader: SharedReader
  private let store: any ReadModelStore
  private let board: ProjectionBoard
  private let logger: Logger
  private let batchCommitsMax: Int
  private let owner: LeaseOwner

  /// - Parameters:
  ///   - reader: shared by all projections of a process, so that they read the log once.
  ///   - process: this one, so that another can tell whether it is alive.
  public init(
    _ projection: P, reader: SharedReader, store: any ReadModelStore, board: ProjectionBoard,
    logger: Logger, process: LeaseProcess = .anonymous,
    batchCommitsMax: Int = SharedReader.pageMax
  ) {
    self.projection = projection
    self.reader = reader
    self.store = store
    self.board = board
    var logger = logger
    logger[metadataKey: "projection"] = "\(projection.name)"
    self.logger = logger
    owner = process.newOwner()
    self.batchCommitsMax = batchCommitsMax
  }

  /// Runs until cancelled or told to shut down. Faults of the store are waited out.
  public func run() async throws {
    defer { board.remove(projection.name) }
    await cancelWhenGracefulShutdown { [self] in
      var failures = 0
      while !Task.isCancelled {
        do {
          let asked = ContinuousClock.now
          guard let leased = try await takeLease() else { continue }
          try await drive(leased, acquired: asked) { failures = 0 }
        } catch is CancellationError {
          return
        } catch is LeaseLost {
          logger.notice("another process drives this projection now")
        } catch is LeaseWanted {
          logger.info("a rebuild is about to switch")
        } catch {
          if Task.isCancelled { return }
          failures += 1
          logger.warning("projection cannot go on, trying again", metadata: ["error": "\(error)"])
          board.report(projection.name, failure: "\(error)")
          try? await Task.sleep(for: Backoff.standard.delay(attempt: failures))
        }
      }
    }
  }

  /// The lease, or nil after a while in which somebody else has held it.
  private func takeLease() async throws -> LeasedProgress? {
    let leased = try await store.acquire(
      projection.name, version: projection.version, owner: owner.name,
      for: ProjectionLease.duration, .whenFreeOrDead(owner.mayTakeFrom))
    if let leased { return leased }
    board.standBy(projection.name)
    try await Task.sleep(for: ProjectionLease.standbyPause)
    return nil
  }

  private func drive(
    _ leased: LeasedProgress, acquired: ContinuousClock.Instant, succeeded: () -> Void
  ) async throws {
    var session = DrivingSession(
      projection, leased: leased, acquired: acquired, store: store, board: board)
    do {
      try await session.begin(log: reader.log)
      try await follow(&session, succeeded)
    } catch {
      // What was shown is saved, so that nobody who goes on begins before it.
      if !(error is LeaseLost) { await session.end() }
      board.stopDriving(projection.name)
      throw error
    }
  }

  private func follow(_ session: inout DrivingSession<P>, _ succeeded: () -> Void) async throws {
    var isBehind = true
    var isGivingWay = false
    var isGathering = false
    var begun = ContinuousClock.now
    var gathering = ProjectionPace.gathering(after: .zero)
    while true {
      try Task.checkCancellation()
      try await session.keepUp()
      if !isBehind {
        // Who has come to the end need not ask the database to know that.
        let mayHaveMore = await reader.log.waitForEvents(
          after: session.progress.position,
          timeout: session.restMax)
        guard mayHaveMore else {
          session.reachEnd()
          continue
        }
        // What comes within this time is written together.
        try? await Task.sleep(until: begun + projection.batchPause, clock: .continuous)
        isGathering = try await gather(&session, until: begun + gathering)
      }
      begun = .now
      let limit = isGivingWay ? ProjectionPace.smallBatchMax : batchCommitsMax
      let position = session.progress.position
      var commits = try await reader.read(after: position, limit: limit)
      if isGathering { commits += try await more(after: commits, limit: limit) }
      guard !commits.isEmpty else {
        session.reachEnd()
        isBehind = false
        continue
      }
      let batch = ProjectionPace.batch(of: commits)
      let events = batch.flatMap(\.events)
      // A page may be shorter than asked for, where commits are large.
      isBehind =
        isGathering
        ? events.count >= ProjectionPace.eventsMax
        : commits.count == limit || events.count >= ProjectionPace.eventsMax / 2
      if let poison = try await session.apply(events) {
        logger.critical("\(poison)")
        try await waitForOperator(&session)
        isBehind = true
        continue
      }
      succeeded()
      gathering = ProjectionPace.gathering(after: .now - begun)
      isGivingWay = await reader.log.giveWay(
        atMost: min((.now - begun) * 20, ProjectionPace.pauseMax), to: .flood)
    }
  }

  /// While much is appended, and nobody waits for these rows, lets more come together: an order's
  /// row is written once or twice then, and not at each step of the order. Answers whether it did.
  private func gather(
    _ session: inout DrivingSession<P>, until deadline: ContinuousClock.Instant
  ) async throws -> Bool {
    guard reader.log.isUnder(.many) else { return false }
    while .now < deadline, reader.log.isUnder(.many),
      !board.isAwaited(projection.name)
    {
      try await session.keepUp()
      try await Task.sleep(for: ProjectionLease.savePause)
    }
    return true
  }

  /// The commits that follow these, up to a batch.
  private func more(
    after first: [RecordedCommit], limit: Int
  ) async throws -> [RecordedCommit] {
    var more: [RecordedCommit] = []
    var page = first
    var events = 0
    while page.count == limit, let last = page.last {
      events += page.reduce(0) { $0 + $1.events.count }
      guard events < ProjectionPace.eventsMax else { break }
      page = try await reader.read(after: last.header.lastPosition, limit: limit)
      more += page
    }
    return more
  }

  /// Returns when an operator has said how to go on.
  private func waitForOperator(_ session: inout DrivingSession<P>) async throws {
    while try await !session.readOperations(log: reader.log) {
      try await Task.sleep(for: ProjectionLease.standbyPause)
      try await session.keepUp()
    }
    logger.notice("an operator has the projection go on")
  }
}

/// How long a projection holds its lease, and how often it looks after it. A death is noticed
/// after ``duration`` and ``standbyPause`` at most.
enum ProjectionLease {
  static let duration: Duration = .seconds(3)
  /// For so long after a renewal was sent rows may be sent; what is under way then arrives before
  /// anybody else has the lease.
  static let writingDuration: Duration = .milliseconds(2500)
  static let standbyPause: Duration = .milliseconds(250)
  /// Between two checkpoints of a projection that moves: other processes see where it stands, and
  /// one that takes over has little to do again.
  static let savePause: Duration = .milliseconds(20)

  /// When a lease that is acquired or renewed now is to be renewed, if nothing has been saved by
  /// then: on the second, which is the same time for all leases of a process, so that one command
  /// does it. Half of ``writingDuration`` later, at most.
  static var nextRenewal: ContinuousClock.Instant {
    let pause = 1000 - Timestamp.now.millisecondsSinceEpoch % 1000
    return .now + .milliseconds(pause < 250 ? pause + 1000 : pause)
  }
}

enum ProjectionPace {
  /// Events of a batch, however large its commits are.
  static let eventsMax = 20_000
  /// Between the beginnings of two batches of a busy log, well below what a reader waits for a
  /// position. Longer when a batch takes long: what rows cost then, while orders wait, is bounded.
  static func gathering(after took: Duration) -> Duration {
    min(max(took * 2, .milliseconds(700)), .seconds(2))
  }

  /// Commits of a batch while there are many requests, so that the pause that it makes necessary is
  /// short.
  static let smallBatchMax = 100
  /// Well below what a rebuild leaves to readers of the old rows (``ProjectionRebuild``), and what
  /// a reader waits for a position.
  static let pauseMax: Duration = .seconds(1)

  /// The first commits, at least one of them.
  static func batch(of commits: [RecordedCommit]) -> ArraySlice<RecordedCommit> {
    var events = 0
    let end = commits.firstIndex { commit in
      defer { events += commit.events.count }
      return events > 0 && events + commit.events.count > eventsMax
    }
    return commits[..<(end ?? commits.endIndex)]
  }
}
