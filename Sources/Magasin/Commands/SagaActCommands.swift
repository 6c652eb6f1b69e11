import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Sagas

extension SagasCommand {
  struct Retry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send again, now, whatever a saga waits for.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var options: SagaActOptions

    func run() async throws { try await options.carryOut(.retry, database) }
  }

  struct Skip: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the step under way, or the input that a saga is suspended at, for settled.",
      discussion: """
        On evidence from outside: a refund that was paid by hand, say. What an order depends on \
        cannot be skipped.
        """)

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var options: SagaActOptions

    func run() async throws { try await options.carryOut(.skip, database) }
  }

  struct ForceCompensate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "force-compensate",
      abstract: "Turn a saga back: undo what was done, and cancel the order.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var options: SagaActOptions

    func run() async throws { try await options.carryOut(.forceCompensation, database) }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have a suspended saga go on: after a mend.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var options: SagaActOptions

    func run() async throws { try await options.carryOut(.resume, database) }
  }
}

/// What is done to which sagas, by whom, and why.
struct SagaActOptions: ParsableArguments {
  @Argument(help: "The saga's id, or its order's. Without one: those that the options mean.")
  var saga: String?

  @OptionGroup var filter: SagaFilterOptions

  @Flag(help: "All sagas that have not ended.")
  var all = false

  @Option(help: "So many at most.")
  var limit = 100

  @Option(help: "Why: it is recorded.")
  var reason: String

  @Option(help: "Who: it is recorded. Default: the user.")
  var by: String = ProcessInfo.processInfo.environment["USER"] ?? NSUserName()

  @Option(
    help: ArgumentHelp(
      "Names the act: done again under the same name it is done once.", valueName: "name"))
  var actID: String?

  @Flag(help: "Only tell what would happen.")
  var dryRun = false

  @Flag(help: "Print one line of JSON for each saga.")
  var json = false

  func validate() throws {
    try requireLimit(limit)
    let ways = [saga != nil, !filter.filter.isEmpty, all].count { $0 }
    guard ways == 1 else {
      throw ValidationError(
        "Name a saga, or say which by --state, --older-than, --definition, or say --all.")
    }
    if let saga { _ = try sagaID(saga) }
  }

  func carryOut(_ action: SagaAct.Action, _ database: DatabaseOptions) async throws {
    let log = try await database.openLog(Logger(label: "sagas"))
    let outcomes: [SagaActOutcome]
    do {
      outcomes = try await CommandFailure.describing {
        try await carryOut(action, log.sagaOperations)
      }
    } catch let lack as SagaActIncomplete {
      throw CommandFailure(description: "\(lack)")
    } catch let failure as AppendFailure {
      throw CommandFailure(description: "\(failure)")
    }
    for outcome in outcomes {
      print(json ? JSONWriter.text(.object(outcome.fields)) : Self.line(outcome))
    }
    if outcomes.isEmpty, !json { print("There is no such saga.") }
    if !dryRun, outcomes.contains(where: { $0.refusal != nil }) { throw ExitCode(1) }
  }

  private func carryOut(
    _ action: SagaAct.Action, _ operations: SagaOperations<OrderFulfilment>
  ) async throws -> [SagaActOutcome] {
    let context = CommitContext(
      commandID: .random(), timestamp: .now, serviceName: "magasin sagas")
    let act = SagaAct(
      id: actID.map { "cli/\(action.name)/\($0)" } ?? context.commandID.description, action,
      reason: reason, by: by)
    if let saga {
      let id = try sagaID(saga)
      guard
        let outcome = try await operations.carryOut(
          act, on: id, context: context, isDryRun: dryRun)
      else { throw CommandFailure(description: "There is no saga \(id).") }
      return [outcome]
    }
    let outcomes = try await operations.carryOut(
      act, on: filter.filter, limit: limit, context: context, isDryRun: dryRun)
    if outcomes.hasMore, !json { print("There are more: say --limit.") }
    return outcomes.sagas
  }

  private static func line(_ outcome: SagaActOutcome) -> String {
    if let refusal = outcome.refusal { return "\(outcome.saga): refused, \(refusal)" }
    let events = outcome.events.map { event in
      let state = event.data["state"]?.stringValue ?? outcome.state
      let commands = event.commands.map(\.name).joined(separator: ", ")
      let place = event.position.map { " at position \($0)" } ?? ""
      return "\(event.type)\(place), \(outcome.state) -> \(state), "
        + (commands.isEmpty ? "sends nothing" : "sends \(commands)")
    }
    let word = outcome.verdict == .planned ? "would record" : "recorded"
    return "\(outcome.saga): \(word) \(events.joined(separator: "; "))"
  }
}
