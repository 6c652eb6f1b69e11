import EventSourcing
import Foundation
import Logging
import Synchronization

/// What driving and rebuilding a read model promise, as checks against any log and any store.
public enum ProjectionConformance {
  public struct Check: Sendable, CustomStringConvertible {
    public let description: String
    let body: @Sendable (Place) async throws -> Void

    /// - Parameters:
    ///   - log: empty.
    ///   - store: empty.
    public func run(_ log: any EventLog, _ store: any ReadModelStore) async throws {
      try await body(Place(log: log, store: store))
    }
  }

  /// A promise that was not kept.
  public struct Violation: Error, CustomStringConvertible {
    public let description: String
  }

  struct Place: Sendable {
    let log: any EventLog
    let store: any ReadModelStore
  }

  public static let checks: [Check] = [
    Check(description: "rows follow the log", body: following),
    Check(description: "a driver dies at every point, and the next one goes on", body: driverDies),
    Check(
      description: "a rebuild dies at every point, and the next one completes", body: rebuildDies),
    Check(description: "a rebuild goes on where a dead one was", body: rebuildResumes),
    Check(
      description: "a rebuild beside rows that nobody drives goes on to the end", body: notDriven),
    Check(
      description: "rows that somebody begins to drive are compared once more", body: drivenSince),
    Check(
      description: "rows of another fold that are driven are compared at one position",
      body: otherFoldDriven),
    Check(description: "a rebuild in little memory makes the same rows", body: littleMemory),
    Check(description: "rebuilds beside a driver and a writer lose and double nothing", body: live),
    Check(
      description: "what differs is named, and kept from serving when asked to", body: differing),
    Check(description: "of two drivers one drives, and the other takes over", body: twoDrivers),
    Check(description: "a driver whose lease was taken writes nothing", body: wokenDriver),
    Check(description: "poison stops a read model before the event, whole", body: poison),
    Check(description: "a poisonous event is skipped, live and in rebuilds", body: skipping),
    Check(description: "a skip that is repeated is one act", body: skippingTwice),
    Check(
      description: "what is skipped during a rebuild is left out there too", body: skippingBeside),
    Check(description: "a mended read model resumes", body: resuming),
    Check(description: "rows of another fold are not folded on", body: outdated),
    Check(description: "hot rows are never older than the read model stands", body: hotRows),
  ]

  static func require(
    _ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line
  ) throws {
    if !condition { throw Violation(description: "\(message()) (check at line \(line))") }
  }
}

extension ProjectionConformance.Place {
  static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  /// The process that everybody in these checks belongs to; whoever left a lease is dead.
  static var survivor: LeaseProcess { LeaseProcess("survivor") { _ in true } }

  func driver<P: Projection>(
    _ projection: P, store: (any ReadModelStore)? = nil, board: ProjectionBoard,
    process: LeaseProcess = survivor, batch: Int = 3
  ) -> ProjectionDriver<P> {
    ProjectionDriver(
      projection, reader: SharedReader(log), store: store ?? self.store, board: board,
      logger: Self.quiet, process: process, batchCommitsMax: batch)
  }

  /// Runs a driver until `isDone`, for half a minute at most.
  func drive<P: Projection>(
    _ projection: P, store: (any ReadModelStore)? = nil, board: ProjectionBoard = ProjectionBoard(),
    process: LeaseProcess = survivor, until isDone: (ProjectionBoard) async throws -> Bool
  ) async throws {
    let driver = driver(projection, store: store, board: board, process: process)
    let running = Task { try await driver.run() }
    let wasDone = try await poll { try await isDone(board) }
    running.cancel()
    try await running.value
    try ProjectionConformance.require(
      wasDone, "not done: \(String(describing: board.status(of: projection.name)))")
  }

  func driveToHead<P: Projection>(_ projection: P) async throws {
    let head = try await log.head()
    try await drive(projection) { $0.progress(of: projection.name)?.position == head }
  }

  func poll(_ isDone: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
      if try await isDone() { return true }
      try await Task.sleep(for: .milliseconds(2))
    }
    return false
  }

  func serving(_ name: String) async throws -> [String: StoredRow] {
    try await rows(servedBy: try await store.progress(of: name))
  }

  /// The rows that a pointer leads to.
  private func rows(servedBy progress: ProjectionProgress?) async throws -> [String: StoredRow] {
    guard let progress else { return [:] }
    let rows = try await store.rows(of: progress.collection, after: nil, limit: 10_000)
    return Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0) })
  }

  /// What serves equals the fold of the log up to where it stands, and that is its end.
  func requireFold(
    _ projection: TallyProjection, without skipped: Set<Position> = [], _ situation: String = "",
    line: UInt = #line
  ) async throws {
    let progress = try await store.progress(of: projection.name)
    let head = try await log.head()
    try ProjectionConformance.require(
      progress?.position == head,
      "\(situation): at \(String(describing: progress)), the log at \(head)", line: line)
    try await requireFoldWhereItStands(projection, without: skipped, situation, line: line)
  }

  /// The same, wherever that is.
  func requireFoldWhereItStands(
    _ projection: TallyProjection, without skipped: Set<Position> = [], _ situation: String = "",
    line: UInt = #line
  ) async throws {
    // Read once: what a dead process had under way may still arrive, and move the pointer.
    let progress = try await store.progress(of: projection.name)
    let rows = try await rows(servedBy: progress)
    let expected = try await projection.expected(
      from: log, upTo: progress?.position ?? .start, without: skipped)
    try ProjectionConformance.require(
      rows == expected, "\(situation): \(rows) instead of \(expected)", line: line)
  }

  func rebuild<P: Projection>(
    _ projection: P, store: (any ReadModelStore)? = nil, process: LeaseProcess = survivor,
    settings: RebuildSettings = RebuildSettings(grace: .zero),
    report: @escaping @Sendable (RebuildProgress) -> Void = { _ in }
  ) async throws -> RebuildResult {
    try await ProjectionRebuild(
      projection, log: log, store: store ?? self.store, process: process, settings: settings
    ).run(report: report)
  }
}
