import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Mongo

/// `magasin verify`: walks the log and checks what it promises.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check the log: shape, positions, versions, command ids, the hash chain.",
    discussion: """
      Exits with 0 when the log is clean; with 1, and the first position where something is wrong, \
      when it is not; with 2 when it could not be checked. Nothing is written to the database, and \
      servers may go on meanwhile: the log is checked up to where it ended at the start.

      The chain alone cannot show that the end was cut off, or that everything from some point on \
      was written anew. Export the head now and then, keep it where the log's writers cannot \
      reach it, and check against it later:

        magasin verify --export-head monday.json
        magasin verify --head monday.json

      A long verification can be stopped and gone on with: name a file with --state, and name it \
      again. Commits that were checked before are then taken to be unchanged since, except for \
      the last one, which is compared. To check everything anew, leave it out.

      Memory: about 250 MB at most for 10 million commits. What does not fit goes to FILE.traces \
      of --state, else to a file in $TMPDIR: 32 bytes an event and as much a commit.
      """)

  @OptionGroup var database: DatabaseOptions

  @Option(
    help: ArgumentHelp(
      "The log must still begin as it did at this exported head.", valueName: "file"))
  var head: String?

  @Option(
    help: ArgumentHelp(
      "When the log is clean, write its position, hash, commits and the time here, as JSON.",
      valueName: "file"))
  var exportHead: String?

  @Option(
    help: ArgumentHelp(
      "Keep the progress here, and go on from it when it is there; gone when all is checked.",
      valueName: "file"))
  var state: String?

  @Option(help: "How many read and check at once. Default: one for each processor.")
  var connections: Int?

  @Flag(help: "Print the result as JSON.")
  var json = false

  func validate() throws {
    if let connections, !(1...32).contains(connections) {
      throw ValidationError("--connections is 1 to 32.")
    }
  }

  func run() async throws {
    do {
      try await verify()
    } catch let failure as CommandFailure {
      FileHandle.standardError.write(Data("Error: \(failure)\n".utf8))
      throw ExitCode(2)
    }
  }

  private func verify() async throws {
    let known = try head.map(Self.readHead)
    let line = ProgressLine()
    let start = ContinuousClock.now
    let report = try await CommandFailure.describing {
      try await LogVerifier(try MongoDatabase(database.uri()), connections: connections)
        .verify(against: known, keepingStateIn: state) { progress in
          line.show(
            done: progress.position.rawValue, of: progress.head.rawValue, counted: progress.events)
        }
    }
    line.clear()
    print(json ? Self.json(report, took: .now - start) : Self.text(report))
    guard report.faults.isEmpty else { throw ExitCode(1) }
    if let exportHead {
      let head = ExportedHead(
        position: Position(report.events), hash: report.head, commits: report.commits, time: .now)
      try await CommandFailure.describing {
        try DurableFile.write(
          JSONWriter.bytes(head.value) + [UInt8(ascii: "\n")], to: exportHead)
      }
    }
  }

  private static func readHead(_ path: String) throws -> ExportedHead {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw CommandFailure(description: "\(path) cannot be read.")
    }
    do {
      return try ExportedHead(try JSONReader.value(from: Array(data)))
    } catch {
      throw CommandFailure(description: "\(path) is no exported head: \(error).")
    }
  }

  private static func text(_ report: LogVerifier.Report) -> String {
    if let corruption = report.corruption {
      return "corrupt at position \(corruption.position): \(corruption.reason)"
    }
    return """
      clean: \(report.events) events in \(report.commits) commits, head at position \
      \(report.events), hash \(report.head)
      """
  }

  private static func json(_ report: LogVerifier.Report, took: Duration) -> String {
    var fields: Fields = ["clean": .bool(report.faults.isEmpty)]
    if let first = report.faults.first {
      fields["position"] = .integer(first.position.rawValue)
      fields["faults"] = .array(
        report.faults.map { ["kind": .string($0.kind.rawValue), "reason": .string($0.reason)] })
    } else {
      fields["events"] = .integer(report.events)
      fields["commits"] = .integer(report.commits)
      fields["position"] = .integer(report.events)
      fields["hash"] = .string(report.head)
    }
    let milliseconds = Int64((took / .milliseconds(1)).rounded())
    fields["seconds"] = .decimal(FixedDecimal(unscaled: milliseconds, scale: 3))
    return JSONWriter.text(.object(fields))
  }
}

extension CommandFailure {
  /// Runs what may fail for reasons that the person at the terminal can do something about.
  static func describing<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
      return try await body()
    } catch let error as MongoError {
      throw CommandFailure(description: "MongoDB cannot be used: \(error.message)")
    } catch let error as LogFileError {
      throw CommandFailure(description: "\(error)")
    } catch let fault as LogFault {
      throw CommandFailure(description: "The log is corrupt: \(fault).")
    }
  }
}
