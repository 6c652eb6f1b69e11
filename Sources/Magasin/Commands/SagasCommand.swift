import API
import ArgumentParser
import Commerce
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Projections
import Sagas

/// `magasin sagas`: what orders wait for, what to do about it, and whether anything hangs.
struct SagasCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sagas",
    abstract: "See what sagas wait for, help those that need a person, look whether any hangs.",
    discussion: """
      What is done to a saga is an event of its own stream, with who did it and why. Commands that \
      follow from it are sent by the process that runs the role sagas.
      """,
    subcommands: [
      List.self, Show.self, Retry.self, Skip.self, ForceCompensate.self, Resume.self, Check.self,
    ])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List sagas that have not ended, those first that have waited longest.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var filter: SagaFilterOptions

    @Option(help: "So many at most.")
    var limit = 100

    @Flag(help: "Print one line of JSON for each saga.")
    var json = false

    func validate() throws { try requireLimit(limit) }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "sagas"))
      let rows = try await CommandFailure.describing {
        try await log.sagaQueries.rows(filter.filter, limit: limit + 1)
      }
      if !json { print(Self.columns("SAGA", "STATE", "FOR", "WAITS FOR")) }
      for row in rows.prefix(limit) {
        print(json ? JSONWriter.text(.object(SagaAnswer.fields(of: row.json))) : Self.line(row))
      }
      if !json, rows.count > limit { print("There are more: say --limit.") }
    }

    private static func line(_ row: SagaRow) -> String {
      columns(
        row.sagaID, row.suspension == nil ? row.state : "\(row.state), suspended",
        row.isEnded ? "-" : age(since: row.suspension?.since ?? row.waitingSince),
        row.waitingFor ?? "nothing: it has ended")
    }

    private static func columns(_ cells: String...) -> String {
      zip(cells, [48, 22, 8, 0]).map { text, width in
        text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
      }.joined(separator: " ")
    }

    private static func age(since time: Timestamp) -> String {
      let seconds = max(
        0, (Timestamp.now.millisecondsSinceEpoch - time.millisecondsSinceEpoch) / 1000)
      return switch seconds {
      case ..<120: "\(seconds) s"
      case ..<7200: "\(seconds / 60) min"
      case ..<172_800: "\(seconds / 3600) h"
      default: "\(seconds / 86_400) d"
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show one saga: its steps, what it waits for, and every event that has moved it.",
      discussion: "It is folded from its own stream: what is shown is what the log says now.")

    @OptionGroup var database: DatabaseOptions

    @Argument(help: "The saga's id, or its order's.")
    var saga: String

    @Flag(help: "Print it as JSON, as GET /saga/{saga_id} answers.")
    var json = false

    func run() async throws {
      let id = try sagaID(saga)
      let log = try await database.openLog(Logger(label: "sagas"))
      let projection = SagasProjection()
      var row: SagaRow?
      for event in try await log.stream(OrderFulfilment.stream(id))
      where projection.consumes.takes(event) {
        try projection.apply(event, to: &row, id: id)
      }
      guard let row else { throw CommandFailure(description: "There is no saga \(id).") }
      let fields = SagaAnswer.fields(of: row.json, isWhole: true)
      print(json ? JSONWriter.text(.object(fields)) : SagaText(row: row, fields: fields).text)
    }
  }
}

/// The stream of a saga that is named by its own id or its order's.
func sagaID(_ text: String) throws -> String {
  guard let order = OrderID(ofSaga: text) else {
    throw ValidationError("'\(text)' is no saga: say saga_order_<uuid>, or the order's id.")
  }
  return order.sagaID
}

func requireLimit(_ limit: Int) throws {
  guard (1...100_000).contains(limit) else {
    throw ValidationError("--limit is 1 to 100000.")
  }
}

extension MongoLog {
  /// The sagas as the read model shows them, and the other read models beside it.
  var readModels: ReadModelReader {
    ReadModelReader(store: MongoReadModels(database), board: ProjectionBoard())
  }

  var sagaQueries: SagaQueries { SagaQueries(reader: readModels) }

  var sagaOperations: SagaOperations<OrderFulfilment> {
    let queries = sagaQueries
    return SagaOperations(log: self) { try await queries.select($0, limit: $1) }
  }
}

/// Which sagas are meant.
struct SagaFilterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "In this state, as in charging; suspended: all that are suspended.", valueName: "state"))
  var state: String?

  @Option(
    help: ArgumentHelp(
      "Those that have been in their state for so many seconds at least.", valueName: "seconds"))
  var olderThan: Int64?

  @Option(
    help: ArgumentHelp(
      "Those that go by these rules, as in order-fulfilment.v2.", valueName: "definition"))
  var definition: String?

  var filter: SagaFilter {
    SagaFilter(state: state, olderThanSeconds: olderThan, definition: definition)
  }

  func validate() throws {
    if let state, !OrderFulfilment.filterStates.contains(state) {
      let known = OrderFulfilment.filterStates.joined(separator: ", ")
      throw ValidationError("There is no state '\(state)'. They are: \(known).")
    }
    if let olderThan, !(0...SagaFilter.secondsMax).contains(olderThan) {
      throw ValidationError("--older-than is a number of seconds, 0 or more.")
    }
  }
}
