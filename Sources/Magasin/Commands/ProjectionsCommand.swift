import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Projections

/// `magasin projections`: look at the read models, and rebuild them from the log.
struct ProjectionsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "projections", abstract: "List read models, and rebuild them from the log.",
    subcommands: [List.self, Rebuild.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show where every read model stands.")

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let log = try await database.openLog(Logger(label: "projections"))
      let store = MongoReadModels(log.database)
      let head = try await log.head()
      print(columns("NAME", "ROWS IN", "POSITION", "LAG"))
      for name in ReadModels.all.map(\.name).sorted() {
        guard let progress = try await store.progress(of: name) else {
          print(columns(name, "-", "0", "\(head)"))
          continue
        }
        print(
          columns(
            name, progress.collection, "\(progress.position)",
            "\(max(0, head.rawValue - progress.position.rawValue))"))
        if let failure = progress.failure { print("  stopped: \(failure)") }
      }
      print("The log ends at \(head).")
    }

    private func columns(_ name: String, _ rows: String, _ position: String, _ lag: String)
      -> String
    {
      [(name, 18), (rows, 24), (position, 12), (lag, 8)].map { text, width in
        text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
      }.joined(separator: " ")
    }
  }

  struct Rebuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Rebuild a read model beside the serving one, compare the two, and switch over.",
      discussion: "Exits with 1 when a rebuilt row differs from the live one.")

    @OptionGroup var database: DatabaseOptions

    @Argument(help: "The read model's name.")
    var name: String?

    @Flag(help: "Rebuild all of them.")
    var all = false

    func validate() throws {
      if all == (name != nil) { throw ValidationError("Name a read model, or say --all.") }
      if let name, !ReadModels.all.contains(where: { $0.name == name }) {
        let known = ReadModels.all.map(\.name).joined(separator: ", ")
        throw ValidationError("There is no read model '\(name)'. They are: \(known).")
      }
    }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "projections"))
      let store = MongoReadModels(log.database)
      var areSame = true
      for projection in ReadModels.all where all || projection.name == name {
        let same = try await rebuild(projection, log, store)
        areSame = areSame && same
      }
      if !areSame { throw ExitCode(1) }
    }

    private func rebuild<P: Projection>(
      _ projection: P, _ log: MongoLog, _ store: MongoReadModels
    ) async throws -> Bool {
      let isTerminal = isatty(STDOUT_FILENO) == 1
      let report = try await ProjectionRebuild(projection, log: log, store: store).run {
        progress in
        guard isTerminal else { return }
        let line =
          "\(progress.projection): \(progress.position) of \(progress.head) events, "
          + "\(Int(progress.percent)) %, \(Int(progress.eventsPerSecond)) events/s, "
          + "\(Int(progress.secondsLeft)) s left"
        FileHandle.standardOutput.write(Data("\r\u{1B}[K\(line)".utf8))
      }
      let seconds = report.duration / .seconds(1)
      let rate = seconds > 0 ? Int(Double(report.events) / seconds) : 0
      let verdict =
        report.differences.isEmpty
        ? "identical" : "\(report.differences.count) rows differ"
      print(
        (isTerminal ? "\r\u{1B}[K" : "")
          + "\(report.projection): \(report.events) events in "
          + String(format: "%.1f s", seconds) + " (\(rate) events/s), generation "
          + "\(report.generation), \(report.rows) rows, \(verdict)")
      for id in report.differences.prefix(20) { print("  differs: \(id)") }
      return report.differences.isEmpty
    }
  }
}
