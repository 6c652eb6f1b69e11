import API
import EventSourcing
import Logging
import Projections
import ServiceLifecycle
import Synchronization

/// Lists and rebuilds read models for the HTTP API; rebuilds run one after the other.
final class ProjectionOperator: ProjectionAdministration, Service {
  private let log: any EventLog
  private let store: any ReadModelStore
  private let board: ProjectionBoard
  private let process: LeaseProcess
  private let logger: Logger
  private let operations: ProjectionOperations
  private let reports = Mutex<[String: RebuildReport]>([:])
  private let requests: AsyncStream<RebuildRequest>
  private let submit: AsyncStream<RebuildRequest>.Continuation

  private struct RebuildRequest: Sendable {
    var name: String
    var expectsSame: Bool
  }

  init(
    log: any EventLog, store: any ReadModelStore, board: ProjectionBoard,
    process: LeaseProcess, logger: Logger
  ) {
    self.log = log
    self.store = store
    self.board = board
    self.process = process
    self.logger = logger
    operations = ProjectionOperations(log: log, store: store)
    (requests, submit) = AsyncStream.makeStream(of: RebuildRequest.self)
  }

  /// Rebuilds that run in this process, and those that have.
  var rebuilds: [RebuildReport] {
    reports.withLock { $0.values.sorted { $0.projection < $1.projection } }
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      for await request in requests {
        guard let projection = ReadModels.all.first(where: { $0.name == request.name }) else {
          continue
        }
        await rebuild(projection, expectsSame: request.expectsSame)
      }
    }
  }

  func list() async throws -> [ProjectionReport] {
    let head = try await log.head()
    var list: [ProjectionReport] = []
    for name in ReadModels.all.map(\.name).sorted() {
      let status = board.status(of: name)
      let stored = try await store.progress(of: name)
      let progress =
        board.progress(of: name) ?? stored
        ?? ProjectionProgress(projection: name, generation: 1, position: .start)
      list.append(
        ProjectionReport(
          name: name, generation: progress.generation, collection: progress.collection,
          position: progress.position, head: max(head, progress.position),
          failure: status?.failure ?? progress.failure, parked: progress.parked,
          skipped: try await ProjectionOperations.history(of: name, in: log).skipped,
          holder: try await store.holder(of: name), rebuild: reports.withLock { $0[name] }))
    }
    return list
  }

  func skip(_ name: String, at position: Position, _ act: OperatorAct) async throws -> Position {
    try known(name)
    return try await operations.skip(
      name, at: position, reason: act.reason, by: act.by, context: act.context)
  }

  func resume(_ name: String, _ act: OperatorAct) async throws -> Position {
    try known(name)
    return try await operations.resume(
      name, reason: act.reason, by: act.by, context: act.context)
  }

  func startRebuild(of name: String, expectsSame: Bool) async throws -> RebuildReport {
    try known(name)
    if try await isRebuiltElsewhere(name) {
      throw ProjectionAdministrationError.rebuildRunning(name)
    }
    let head = try await log.head()
    let report = RebuildReport(
      projection: name, state: .running, position: .start, head: head, percent: 0,
      eventsPerSecond: 0, secondsLeft: 0, startedAt: .now)
    let isRunning = reports.withLock { reports in
      if reports[name]?.state == .running { return true }
      reports[name] = report
      return false
    }
    if isRunning { throw ProjectionAdministrationError.rebuildRunning(name) }
    submit.yield(RebuildRequest(name: name, expectsSame: expectsSame))
    return report
  }

  /// By the command line, or by another server.
  private func isRebuiltElsewhere(_ name: String) async throws -> Bool {
    let holder = try await store.holder(of: ProjectionProgress.rebuildName(of: name))
    return holder.map { !$0.isExpired && !process.isDead(owner: $0.owner) } ?? false
  }

  func rebuild(of name: String) async throws -> RebuildReport? {
    try known(name)
    return reports.withLock { $0[name] }
  }

  private func known(_ name: String) throws {
    guard ReadModels.all.contains(where: { $0.name == name }) else {
      throw ProjectionAdministrationError.unknownProjection(name)
    }
  }

  private func rebuild<P: Projection>(_ projection: P, expectsSame: Bool) async {
    let name = projection.name
    do {
      let rebuild = ProjectionRebuild(
        projection, log: log, store: store, process: process,
        settings: RebuildSettings(expectsSame: expectsSame))
      let result = try await rebuild.run { progress in
        self.update(name) { report in
          report.phase = progress.phase
          report.position = progress.position
          report.head = progress.head
          report.percent = Int(progress.percent)
          guard progress.phase == .folding else { return }
          report.eventsPerSecond = Int64(progress.eventsPerSecond)
          report.secondsLeft = Int64(progress.secondsLeft)
        }
      }
      update(name) { report in
        report.state = result.hasSwitched ? .completed : .different
        report.percent = 100
        report.position = Position(result.events)
        report.rows = result.rows
        report.wasCompared = result.wasCompared
        report.differenceCount = result.differenceCount
        report.differences = result.differences.map(\.description)
        report.secondsLeft = 0
        report.finishedAt = .now
      }
      logger.info(
        "projection rebuilt",
        metadata: [
          "projection": "\(name)", "rows": "\(result.rows)", "events": "\(result.events)",
          "different": "\(result.differenceCount)", "switched": "\(result.hasSwitched)",
        ])
    } catch {
      logger.error("rebuild failed", metadata: ["projection": "\(name)", "error": "\(error)"])
      update(name) { report in
        report.state = .failed
        report.failure = Self.text(error)
        report.finishedAt = .now
      }
    }
  }

  /// What a caller is told: nothing of the database.
  private static func text(_ error: any Error) -> String {
    switch error {
    case let failure as RebuildFailure: failure.description
    case let poison as ProjectionPoisoned: "\(poison). The old rows go on serving."
    default: "the rebuild stopped; the old rows go on serving"
    }
  }

  private func update(_ name: String, _ change: (inout RebuildReport) -> Void) {
    reports.withLock { reports in
      guard var report = reports[name] else { return }
      change(&report)
      reports[name] = report
    }
  }
}
