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
  private let logger: Logger
  private let reports = Mutex<[String: RebuildReport]>([:])
  private let requests: AsyncStream<String>
  private let submit: AsyncStream<String>.Continuation

  init(log: any EventLog, store: any ReadModelStore, board: ProjectionBoard, logger: Logger) {
    self.log = log
    self.store = store
    self.board = board
    self.logger = logger
    (requests, submit) = AsyncStream.makeStream(of: String.self)
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      for await name in requests {
        guard let projection = ReadModels.all.first(where: { $0.name == name }) else { continue }
        await rebuild(projection)
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
        status?.progress ?? stored
        ?? ProjectionProgress(projection: name, generation: 1, position: .start)
      list.append(
        ProjectionReport(
          name: name, generation: progress.generation, collection: progress.collection,
          position: progress.position, head: max(head, progress.position),
          failure: status?.failure ?? progress.failure, rebuild: reports.withLock { $0[name] }))
    }
    return list
  }

  func startRebuild(of name: String) async throws -> RebuildReport {
    try known(name)
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
    submit.yield(name)
    return report
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

  private func rebuild<P: Projection>(_ projection: P) async {
    let name = projection.name
    do {
      let result = try await ProjectionRebuild(projection, log: log, store: store).run {
        progress in
        self.update(name) { report in
          report.position = progress.position
          report.head = progress.head
          report.percent = Int(progress.percent)
          report.eventsPerSecond = Int64(progress.eventsPerSecond)
          report.secondsLeft = Int64(progress.secondsLeft)
        }
      }
      update(name) { report in
        report.state = .completed
        report.percent = 100
        report.position = Position(result.events)
        report.rows = result.rows
        report.differences = result.differences
        report.finishedAt = .now
      }
      logger.info(
        "projection rebuilt",
        metadata: [
          "projection": "\(name)", "rows": "\(result.rows)", "events": "\(result.events)",
          "different": "\(result.differences.count)",
        ])
    } catch {
      logger.error("rebuild failed", metadata: ["projection": "\(name)", "error": "\(error)"])
      update(name) { report in
        report.state = .failed
        report.failure = "the rebuild stopped; the old rows go on serving"
        report.finishedAt = .now
      }
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
