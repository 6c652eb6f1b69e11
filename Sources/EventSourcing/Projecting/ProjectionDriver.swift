import Logging
import ServiceLifecycle

/// Keeps one read model up to date: reads the log after the checkpoint, folds, and commits rows and
/// checkpoint together.
///
/// Of all processes that run it one drives, by a lease; the others wait for it to die. Who wakes up
/// after its lease was taken writes nothing: each commit names the lease's token. An event that
/// cannot be applied stops it, loudly, until an operator says how to go on
/// (``ProjectionOperations``).
public final class ProjectionDriver<P: Projection>: Service {
  private let projection: P
  private let reader: SharedReader
  private let store: any ReadModelStore
  private let board: ProjectionBoard
  private let logger: Logger
  private let batchCommitsMax: Int
  private let identity: DriverIdentity

  /// - Parameters:
  ///   - reader: shared by all projections of a process, so that they read the log once.
  ///   - identity: who this process is, so that another can tell whether it is alive.
  public init(
    _ projection: P, reader: SharedReader, store: any ReadModelStore, board: ProjectionBoard,
    logger: Logger, identity: DriverIdentity = .anonymous,
    batchCommitsMax: Int = SharedReader.pageMax
  ) {
    self.projection = projection
    self.reader = reader
    self.store = store
    self.board = board
    var logger = logger
    logger[metadataKey: "projection"] = "\(projection.name)"
    self.logger = logger
    self.identity = identity
    self.batchCommitsMax = batchCommitsMax
  }

  /// Runs until cancelled or told to shut down. Faults of the store are waited out.
  public func run() async throws {
    defer { board.remove(projection.name) }
    await cancelWhenGracefulShutdown { [self] in
      var failures = 0
      while !Task.isCancelled {
        do {
          guard let leased = try await takeLease() else { continue }
          do {
            try await drive(leased) { failures = 0 }
          } catch {
            board.stopDriving(projection.name)
            if Task.isCancelled || error is LeaseLost { try? await store.release(leased.lease) }
            throw error
          }
        } catch is CancellationError {
          return
        } catch is LeaseLost {
          logger.notice("another process drives this projection now")
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
    let identity = identity
    let leased = try await store.acquire(
      projection.name, version: projection.version, owner: identity.name,
      for: ProjectionLease.duration,
      .whenFreeOrDead { $0 == identity.name || identity.isDead($0) })
    if let leased { return leased }
    board.standBy(projection.name)
    try await Task.sleep(for: ProjectionLease.standbyPause)
    return nil
  }

  private func drive(
    _ leased: LeasedProgress, succeeded: () -> Void
  ) async throws {
    var session = DrivingSession(projection, leased: leased, store: store, board: board)
    try await session.begin(log: reader.log)
    var isBehind = true
    var isGivingWay = false
    while true {
      try Task.checkCancellation()
      if !isBehind {
        // Who has come to the end need not ask the database to know that.
        await reader.log.waitForEvents(
          after: session.progress.position, timeout: ProjectionLease.renewalPause)
      }
      let begun = ContinuousClock.now
      let limit = isGivingWay ? ProjectionPace.smallBatchMax : batchCommitsMax
      let commits = try await reader.read(after: session.progress.position, limit: limit)
      isBehind = commits.count == limit
      guard !commits.isEmpty else {
        try await session.keepLease()
        continue
      }
      if let poison = try await session.apply(commits.flatMap(\.events)) {
        logger.critical("\(poison)")
        try await waitForOperator(&session)
        isBehind = true
        continue
      }
      succeeded()
      isGivingWay = await reader.log.giveWay(
        atMost: min((.now - begun) * 20, ProjectionPace.pauseMax))
    }
  }

  /// Returns when an operator has said how to go on.
  private func waitForOperator(_ session: inout DrivingSession<P>) async throws {
    while try await !session.readOperations(log: reader.log) {
      try await Task.sleep(for: ProjectionLease.standbyPause)
      try await session.keepLease()
    }
    logger.notice("an operator has the projection go on")
  }
}

/// How long a projection holds its lease, and how often it looks after it. A death is noticed
/// after ``duration`` and ``standbyPause`` at most.
enum ProjectionLease {
  static let duration: Duration = .seconds(3)
  static let renewalPause: Duration = .seconds(1)
  static let standbyPause: Duration = .milliseconds(250)
}

enum ProjectionPace {
  /// Commits of a batch while there are many requests, so that the pause that it makes necessary is
  /// short.
  static let smallBatchMax = 100
  /// Well below what a rebuild leaves to readers of the old rows (``ProjectionRebuild``), and what
  /// a reader waits for a position.
  static let pauseMax: Duration = .seconds(1)
}

/// Somebody else has taken the lease: nothing more may be written under it.
struct LeaseLost: Error {}

/// Which process a driver runs in.
public struct DriverIdentity: Sendable {
  public let name: String
  /// Whether the owner of a lease is known to be dead: the lease need not be waited for then.
  public let isDead: @Sendable (_ owner: String) -> Bool
  /// Of a rebuild in the same process: the driver must not take its lease for one of its own.
  var rebuilderName: String { "\(name)-rebuild" }

  /// - Parameter name: of the process; a number of its own is added.
  public init(process name: String, isDead: @escaping @Sendable (_ process: String) -> Bool) {
    self.name = "\(name)#\(CommandID.random().uuid.text.suffix(12))"
    self.isDead = { owner in
      guard let mark = owner.lastIndex(of: "#") else { return false }
      return isDead(String(owner[..<mark]))
    }
  }

  /// Nobody can tell whether it is alive.
  public static var anonymous: DriverIdentity {
    DriverIdentity(process: "anonymous") { _ in false }
  }
}
