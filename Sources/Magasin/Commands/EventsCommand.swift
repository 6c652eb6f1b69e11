import API
import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging

/// `magasin events`: read the log, one JSON object a line; write it out and restore it.
struct EventsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events", abstract: "Read the log, one JSON object a line; export and import it.",
    subcommands: [Tail.self, Show.self, Export.self, Import.self])

  struct Tail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the last events and then every new one, until Ctrl-C.")

    @OptionGroup var database: DatabaseOptions

    @Option(help: "Start after this position. Default: the last 10 events.")
    var after: Int64?

    @Option(help: "Only events of this type.")
    var type: String?

    @Option(help: "Only events of this category, such as orders.")
    var category: String?

    @Flag(help: "Stop at the end of the log.")
    var once = false

    func run() async throws {
      let log = try await database.openLog(Logger(label: "events"))
      var position = Position(max(0, try await log.head().rawValue - 10))
      if let after { position = Position(after) }
      while true {
        let commits = try await log.read(after: position, limit: 1000)
        for event in commits.flatMap(\.events) {
          if let type, event.type != type { continue }
          if let category, event.stream.category != category { continue }
          print(JSONWriter.text(EventStoreJSON.envelope(of: event)))
        }
        if let last = commits.last {
          position = last.header.lastPosition
        } else if once {
          return
        } else {
          try await Task.sleep(for: .milliseconds(200))
        }
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the events of one stream, or the event at one position.")

    @OptionGroup var database: DatabaseOptions

    @Argument(help: "A stream such as orders/order_… , or a position.")
    var what: String

    func run() async throws {
      let log = try await database.openLog(Logger(label: "events"))
      let events: [Recorded]
      if let position = Int64(what), position > 0 {
        events = try await log.read(after: Position(position - 1), limit: 1)
          .flatMap(\.events).filter { $0.position == Position(position) }
      } else if let stream = StreamName(what) {
        events = try await log.stream(stream)
      } else {
        throw ValidationError("'\(what)' is neither a stream (category/id) nor a position.")
      }
      guard !events.isEmpty else { throw CommandFailure(description: "There is no \(what).") }
      for event in events { print(JSONWriter.text(EventStoreJSON.envelope(of: event))) }
    }
  }
}

/// `magasin replay`: the state of an aggregate, folded from its events.
struct ReplayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Print the state of an aggregate, folded from its events.")

  @OptionGroup var database: DatabaseOptions

  @Argument(help: "A stream such as orders/order_…")
  var stream: String

  @Option(help: "Only up to this version.")
  var version: Int64?

  func run() async throws {
    guard let name = StreamName(stream) else {
      throw ValidationError("'\(stream)' is no stream: category/id.")
    }
    let log = try await database.openLog(Logger(label: "replay"))
    guard
      let state = try await EventStoreJSON.replay(
        name, of: log, version: version.map { Version($0) })
    else { throw CommandFailure(description: "There is no stream \(stream).") }
    print(JSONWriter.text(state))
  }
}
