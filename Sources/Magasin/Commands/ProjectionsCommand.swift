import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Projections

/// `magasin projections`: look at the read models, rebuild them from the log, and help those that
/// have stopped.
struct ProjectionsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "projections",
    abstract: "Look at read models, rebuild them from the log, help those that have stopped.",
    subcommands: [Status.self, Rebuild.self, Skip.self, Resume.self])

  struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show where every read model stands, who drives it, and why one has stopped.",
      aliases: ["list"])

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let log = try await database.openLog(Logger(label: "projections"))
      let store = MongoReadModels(log.database)
      let head = try await log.head()
      print(columns("NAME", "ROWS IN", "POSITION", "LAG", "DRIVEN"))
      for projection in ReadModels.all.sorted(by: { $0.name < $1.name }) {
        try await show(projection.name, version: projection.version, log, store, head: head)
      }
      print("The log ends at \(head).")
    }

    private func show(
      _ name: String, version: Int, _ log: MongoLog, _ store: MongoReadModels, head: Position
    ) async throws {
      guard let progress = try await store.progress(of: name) else {
        return print(columns(name, "-", "0", "\(head)", "never"))
      }
      let holder = try await store.holder(of: name)
      let lag = max(0, head.rawValue - progress.position.rawValue)
      print(
        columns(
          name, progress.collection, "\(progress.position)", "\(lag)",
          holder.map { $0.isExpired ? "no" : "yes" } ?? "no"))
      if progress.version != version, progress.position > .start {
        print("  \(FoldOutdated(rows: progress.version, program: version))")
      }
      if let parked = progress.parked {
        print("  stopped since \(parked.since.iso8601) at position \(parked.position):")
        print("    \(parked.type) of \(parked.stream), event \(parked.eventID)")
        print("    \(parked.reason)")
      } else if let failure = progress.failure {
        print("  stopped: \(failure)")
      }
      for skipped in try await ProjectionOperations.history(of: name, in: log).skipped {
        print(
          "  skipped position \(skipped.position), \(skipped.at.iso8601) by \(skipped.by): "
            + skipped.reason)
      }
      let rebuild = try await store.progress(of: ProjectionProgress.rebuildName(of: name))
      if let rebuild, rebuild.generation > progress.generation {
        print("  a rebuild into \(rebuild.collection) has come to position \(rebuild.position)")
      }
    }

    private func columns(_ cells: String...) -> String {
      zip(cells, [18, 24, 12, 10, 6]).map { text, width in
        text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
      }.joined(separator: " ")
    }
  }

  struct Rebuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Rebuild a read model beside the serving one, compare the two, and switch over.",
      discussion: """
        Queries and live events go on meanwhile. A rebuild that was ended goes on where it was. \
        Rows that differ are named; with --expect-same they also keep the old rows in place, and \
        the exit code is 1.
        """)

    @OptionGroup var database: DatabaseOptions

    @Argument(help: "The read model's name.")
    var name: String?

    @Flag(help: "Rebuild all of them.")
    var all = false

    @Flag(help: "Keep the old rows, and exit with 1, when a rebuilt row differs from them.")
    var expectSame = false

    @Flag(help: "Print one line of JSON for each read model.")
    var json = false

    @Option(help: ArgumentHelp("Readers of the log at a time.", visibility: .hidden))
    var readers = RebuildSettings().readersMax

    func validate() throws {
      if all == (name != nil) { throw ValidationError("Name a read model, or say --all.") }
      if let name { try requireReadModel(name) }
      if readers < 1 { throw ValidationError("--readers is greater than 0.") }
    }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "projections"))
      let store = MongoReadModels(log.database)
      var areAsExpected = true
      for projection in ReadModels.all where all || projection.name == name {
        let isAsExpected = try await rebuild(projection, log, store)
        areAsExpected = areAsExpected && isAsExpected
      }
      if !areAsExpected { throw ExitCode(1) }
    }

    private func rebuild<P: Projection>(
      _ projection: P, _ log: MongoLog, _ store: MongoReadModels
    ) async throws -> Bool {
      let isShown = isatty(STDOUT_FILENO) == 1 && !json
      let rebuild = ProjectionRebuild(
        projection, log: log, store: store, process: ProcessIdentity.process,
        settings: RebuildSettings(readersMax: readers, expectsSame: expectSame))
      do {
        let result = try await rebuild.run { progress in
          guard isShown else { return }
          FileHandle.standardOutput.write(Data("\r\u{1B}[K\(Self.line(progress))".utf8))
        }
        if isShown { print("\r\u{1B}[K", terminator: "") }
        print(json ? Self.json(result) : Self.text(result))
        return !expectSame || result.differenceCount == 0
      } catch let failure as RebuildFailure {
        throw CommandFailure(description: "\(failure)")
      } catch let poison as ProjectionPoisoned {
        throw CommandFailure(description: "\(poison). The old rows go on serving.")
      }
    }

    private static func line(_ progress: RebuildProgress) -> String {
      guard progress.phase == .folding else {
        return "\(progress.projection): \(progress.phase.rawValue)"
      }
      return "\(progress.projection): \(progress.position) of \(progress.head) events, "
        + "\(Int(progress.percent)) %, \(Int(progress.eventsPerSecond)) events/s, "
        + "\(Int(progress.secondsLeft.rounded(.up))) s left"
    }

    private static func text(_ result: RebuildResult) -> String {
      var verdict = result.wasCompared ? "identical" : "not compared"
      if result.differenceCount > 0 {
        verdict = "\(result.differenceCount) rows differ"
        if !result.hasSwitched { verdict += ", the old rows go on serving" }
      }
      let seconds = String(format: "%.1f s", result.duration / .seconds(1))
      let lines = [
        "\(result.projection): \(result.events) events in \(seconds) (\(result.rate) events/s), "
          + "generation \(result.generation), \(result.rows) rows, \(verdict)"
      ]
      return (lines + result.differences.prefix(20).map { "  differs: \($0.description)" })
        .joined(separator: "\n")
    }

    private static func json(_ result: RebuildResult) -> String {
      JSONWriter.text([
        "projection": .string(result.projection), "events": .integer(result.events),
        "rows": .integer(Int64(result.rows)),
        "seconds": .decimal(
          FixedDecimal(
            unscaled: Int64(result.duration / .milliseconds(1)), scale: 3)),
        "events_per_second": .integer(Int64(result.rate)),
        "generation": .integer(Int64(result.generation)),
        "switched": .bool(result.hasSwitched), "compared": .bool(result.wasCompared),
        "difference_count": .integer(Int64(result.differenceCount)),
        "differences": .array(result.differences.map { .string($0.description) }),
        "rss_bytes_max": .integer(PeakMemory.bytes),
      ])
    }
  }

  struct Skip: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have a stopped read model leave out the event that it has stopped at, for good.",
      discussion: "The act is an event of the log itself. Rebuilds leave the event out as well.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var act: OperatorOptions

    @Option(help: "The position that it has stopped at, as `projections status` shows it.")
    var position: Int64

    func run() async throws {
      try await act.carryOut(database) { operations, context in
        try await operations.skip(
          act.name, at: Position(position), reason: act.reason, by: act.by, context: context)
      }
      print("\(act.name) leaves out the event at position \(position).")
    }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have a stopped read model try again: after a mend. Recorded in the log.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var act: OperatorOptions

    func run() async throws {
      try await act.carryOut(database) { operations, context in
        try await operations.resume(
          act.name, reason: act.reason, by: act.by, context: context)
      }
      print("\(act.name) tries again.")
    }
  }
}

/// Who does what to which read model, and why.
struct OperatorOptions: ParsableArguments {
  @Argument(help: "The read model's name.")
  var name: String

  @Option(help: "Why: it is recorded.")
  var reason: String

  @Option(help: "Who: it is recorded. Default: the user.")
  var by: String = ProcessInfo.processInfo.environment["USER"] ?? NSUserName()

  func validate() throws { try requireReadModel(name) }

  func carryOut(
    _ database: DatabaseOptions,
    _ body: (ProjectionOperations, CommitContext) async throws -> Position
  ) async throws {
    let log = try await database.openLog(Logger(label: "projections"))
    let operations = ProjectionOperations(log: log, store: MongoReadModels(log.database))
    let context = CommitContext(
      commandID: .random(), timestamp: .now, serviceName: "magasin projections")
    do {
      _ = try await body(operations, context)
    } catch let refusal as ProjectionOperations.Refusal {
      throw CommandFailure(description: "\(refusal)")
    }
  }
}

private func requireReadModel(_ name: String) throws {
  guard !ReadModels.all.contains(where: { $0.name == name }) else { return }
  let known = ReadModels.all.map(\.name).joined(separator: ", ")
  throw ValidationError("There is no read model '\(name)'. They are: \(known).")
}

extension RebuildResult {
  /// Events a second.
  fileprivate var rate: Int {
    let seconds = duration / .seconds(1)
    return seconds > 0 ? Int(Double(events) / seconds) : 0
  }
}

/// The most memory that the process has had at a time.
private enum PeakMemory {
  /// `VmHWM` of `/proc/self/status`, in bytes (proc(5)); 0 where there is none.
  static var bytes: Int64 {
    let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status?.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(separator: " ").dropFirst().first).flatMap { Int64($0) }.map { $0 * 1024 }
      ?? 0
  }
}
