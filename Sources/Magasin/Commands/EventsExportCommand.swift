import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Mongo

extension EventsCommand {
  /// `magasin events export`.
  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write the log out, exactly: `import` restores it byte for byte.",
      discussion: """
        jsonl: a line a commit, the stored document with its hash. cloudevents: a line an event, \
        CloudEvents 1.0 in JSON; extension attributes hold what the commit needs.

        The hash chain is checked on the way. What is written while the export runs is not in it. \
        With --output the file appears when it is whole.
        """)

    @OptionGroup var database: DatabaseOptions

    @Option(
      help: ArgumentHelp(
        "\(LogFormat.allCases.map(\.rawValue).joined(separator: " or ")).", valueName: "format"))
    var format = LogFormat.jsonl

    @Option(
      name: .shortAndLong,
      help: ArgumentHelp("Where to. Default: standard output.", valueName: "file"))
    var output: String?

    @Option(help: "Start after this position, where a commit ends. Default: the whole log.")
    var after: Int64 = 0

    func validate() throws {
      if after < 0 { throw ValidationError("--after is a position: 0 or more.") }
    }

    func run() async throws {
      let line = ProgressLine()
      let summary = try await CommandFailure.describing {
        var file = try output.map { try DurableFile(replacing: $0) } ?? DurableFile.standardOutput
        let summary = try await LogExporter(try MongoDatabase(database.uri()))
          .export(format, after: Position(after)) { position, end in
            line.show(
              done: position.rawValue, of: end.rawValue, counted: position.rawValue - after)
          } write: {
            try file.write($0)
          }
        try file.finish()
        return summary
      }
      line.clear()
      FileHandle.standardError.write(
        Data(
          """
          exported \(summary.end.rawValue - summary.start.rawValue) events in \
          \(summary.commits) commits, up to position \(summary.end), hash \(summary.hash)\n
          """.utf8))
    }
  }

  /// `magasin events import`.
  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Restore an exported log into an empty one: the same positions, the same hashes.",
      discussion: """
        Takes both formats of `export`. Every commit's shape, position and hash are checked before \
        it is written; nothing else may write to the log meanwhile. An import that was interrupted \
        is run again: what is there already is compared, and the rest is added. So is an export \
        made with --after, when the log ends where it begins. `magasin verify` then checks \
        versions and command ids as well.
        """)

    @OptionGroup var database: DatabaseOptions

    @Argument(help: "The exported file, or - for standard input.")
    var file: String

    func run() async throws {
      let line = ProgressLine()
      let summary = try await CommandFailure.describing {
        var lines = try LineReader(file)
        var importer = try await LogImporter(into: try MongoDatabase(database.uri()))
        while let text = try lines.next() {
          try await importer.add(line: text)
          line.show(
            done: importer.position.rawValue, of: nil, counted: importer.position.rawValue)
        }
        return try await importer.finish()
      }
      line.clear()
      let known = summary.known > 0 ? ", \(summary.known) of them were there already" : ""
      print(
        """
        imported \(summary.commits) commits\(known), up to position \(summary.end), hash \
        \(summary.hash)
        """)
    }
  }
}

extension LogFormat: ExpressibleByArgument {}
