import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Projections
import Sagas

extension SagasCommand {
  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Look whether any order or saga hangs, or needs a person.",
      discussion: """
        Exits with 0 when all is well; with 1 when something breaks a rule or a person is asked, \
        which the text tells apart; with 2 when it could not be checked. Nothing is written.
        """)

    @OptionGroup var database: DatabaseOptions

    @Option(
      help: ArgumentHelp(
        "Seconds that a saga without a deadline may stay in its state.", valueName: "seconds"))
    var olderThan = SagaScanner.olderThanSecondsDefault

    @Flag(help: "Print the result as JSON.")
    var json = false

    func validate() throws {
      guard (0...SagaFilter.secondsMax).contains(olderThan) else {
        throw ValidationError("--older-than is a number of seconds, 0 or more.")
      }
    }

    func run() async throws {
      let report: SagaReport
      do {
        let log = try await database.openLog(Logger(label: "sagas"))
        report = try await CommandFailure.describing {
          try await SagaScanner(
            log: log, candidates: log.sagaCandidates, olderThanSeconds: olderThan
          ).scan()
        }
      } catch let failure as CommandFailure {
        FileHandle.standardError.write(Data("Error: \(failure)\n".utf8))
        throw ExitCode(2)
      }
      print(json ? JSONWriter.text(.object(report.fields)) : Self.text(report))
      guard report.findings.isEmpty else { throw ExitCode(1) }
    }

    private static func text(_ report: SagaReport) -> String {
      var lines: [String] = []
      if !report.broken.isEmpty { lines.append("Broken: \(report.broken.count)") }
      lines += report.broken.map { "  \($0.id) \($0.text)" }
      if !report.tasks.isEmpty { lines.append("For a person: \(report.tasks.count)") }
      lines += report.tasks.map { "  \($0.id) \($0.text)" }
      let looked = "\(report.sagas) open sagas and \(report.orders) waiting orders looked at"
      lines.append(report.findings.isEmpty ? "All is well: \(looked)." : "\(looked).")
      return lines.joined(separator: "\n")
    }
  }
}

extension MongoLog {
  /// What is under way, as the read models know it.
  var sagaCandidates: SagaScanner.Candidates {
    let reader = readModels
    let sagas = SagaQueries(reader: reader)
    let orders = OrderQueries(reader: reader)
    let choreographies = ChoreographyQueries(reader: reader)
    return SagaScanner.Candidates(
      sagas: { try await sagas.open() },
      orders: { try await orders.unsettled(placedBefore: $0) },
      findings: {
        try await SagaFinding.blind(self, at: .now)
          + (try await choreographies.stuck().map(SagaFinding.init(stuck:)))
      })
  }
}

extension SagaFinding {
  fileprivate init(stuck row: ChoreographyRow) {
    self.init(
      .stuck, row.orderID.text, state: row.state.rawValue, since: row.waitingSince,
      text: "is choreographed and \(row.state.rawValue) since "
        + "\((row.waitingSince ?? row.updatedAt).iso8601): it waits for "
        + "\(row.waitingFor ?? "nobody").")
  }

  /// The read models that a scan goes by and that have stopped, or stand where the log was a minute
  /// ago.
  fileprivate static func blind(_ log: MongoLog, at now: Timestamp) async throws -> [SagaFinding] {
    let store = MongoReadModels(log.database)
    var found: [SagaFinding] = []
    for name in [
      SagasProjection().name, OrdersProjection().name, ChoreographiesProjection().name,
    ] {
      let progress = try await store.progress(of: name)
      let position = progress?.position ?? .start
      let next = try await log.events(
        matching: EventQuery(.all, after: position, limit: 1)
      ).first
      let reason: String
      if let failure = progress?.parked?.reason ?? progress?.failure {
        reason = "has stopped at position \(position): \(failure)."
      } else if let next, next.timestamp < now.adding(seconds: -SagaScanner.graceSeconds) {
        reason = "stands at position \(position): does a process run the role projections?"
      } else {
        continue
      }
      found.append(
        SagaFinding(
          .blind, name, since: progress?.parked?.since ?? next?.timestamp,
          text: "\(reason) What is newer was not looked at; see magasin projections status."))
    }
    return found
  }
}
