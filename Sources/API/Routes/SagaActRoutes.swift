import Commerce
import EventSourcing
import Hummingbird
import Sagas

/// `POST /sagas/{saga_id}/retry` and the like: what operators do to sagas, one or many.
struct SagaActRoutes {
  /// Sagas that one request acts on, by default and at most.
  static let limitDefault: Int64 = 100
  static let limitMax: Int64 = 1000

  let operations: SagaOperations<OrderFulfilment>
  let serviceName: String

  func register(on router: Router<APIContext>) {
    for action in SagaAct.Action.allCases {
      router.post("/sagas/{saga_id}/\(action.name)") { try await actOnOne(action, $0, $1) }
      router.post("/sagas/\(action.name)") { try await actOnMany(action, $0, $1) }
    }
  }

  @Sendable private func actOnOne(
    _ action: SagaAct.Action, _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let text = try context.identifier("saga_id")
    let unknown = Problem(.notFound, "there is no saga \(text)", field: "saga_id")
    let body = try await StrictBody.fields(of: request, known: ["reason", "by", "dry_run"])
    let command = try CommandRequest(
      request, context, route: "POST /sagas/{saga_id}/\(action.name)", resource: text, body: body,
      serviceName: serviceName)
    let isDryRun = try body.boolIfPresent("dry_run") ?? false
    let act = try Self.act(action, body, command)
    guard let saga = OrderID(ofSaga: text)?.sagaID,
      let outcome = try await operations.carryOut(
        act, on: saga, context: command.context, isDryRun: isDryRun)
    else { throw unknown }
    if let refusal = outcome.refusal, !isDryRun {
      throw Problem(
        .sagaActRefused, refusal,
        members: [
          "saga_id": .string(saga), "state": .string(outcome.state),
          "action": .string(action.name),
        ])
    }
    return .json(
      .object(Self.answer(action, isDryRun, outcome.fields)),
      status: isDryRun ? .ok : .accepted, position: outcome.position,
      headers: [.location: SagaAnswer.address(of: saga)])
  }

  @Sendable private func actOnMany(
    _ action: SagaAct.Action, _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let body = try await StrictBody.fields(
      of: request, known: ["filter", "reason", "by", "dry_run", "limit"])
    let command = try CommandRequest(
      request, context, route: "POST /sagas/\(action.name)", body: body, serviceName: serviceName)
    let isDryRun = try body.boolIfPresent("dry_run") ?? false
    let limit = try body.integerIfPresent("limit") ?? Self.limitDefault
    guard (1...Self.limitMax).contains(limit) else {
      throw FieldError("limit", .invalid("must be between 1 and \(Self.limitMax)"))
    }
    let outcomes = try await operations.carryOut(
      try Self.act(action, body, command), on: try Self.filter(body), limit: Int(limit),
      context: command.context, isDryRun: isDryRun)
    return .json(
      .object(Self.answer(action, isDryRun, outcomes.fields)),
      status: outcomes.position == nil ? .ok : .accepted, position: outcomes.position)
  }

  private static func answer(
    _ action: SagaAct.Action, _ isDryRun: Bool, _ outcome: Fields
  ) -> Fields {
    Fields(
      [("action", .string(action.name)), ("dry_run", .bool(isDryRun))] + outcome.pairs)
  }

  /// The act has the request's command id: sent again under its key it is the same act.
  private static func act(
    _ action: SagaAct.Action, _ body: Fields, _ command: CommandRequest
  ) throws -> SagaAct {
    SagaAct(
      id: command.commandID.description, action, reason: try body.string("reason"),
      by: try body.stringIfPresent("by") ?? "http")
  }

  private static func filter(_ body: Fields) throws -> SagaFilter {
    let fields = try body.object("filter")
    do {
      try fields.refuseUnknownFields(known: ["state", "older_than_seconds", "definition"])
      let filter = SagaFilter(
        state: try state(fields), olderThanSeconds: try seconds(fields),
        definition: try fields.stringIfPresent("definition"))
      guard !filter.isEmpty else {
        throw Problem(
          .invalidValue, "filter must restrict: older_than_seconds 0 means every open saga",
          field: "filter")
      }
      return filter
    } catch let error as FieldError {
      throw error.nested(in: "filter")
    }
  }

  private static func state(_ filter: Fields) throws(FieldError) -> String? {
    guard let state = try filter.stringIfPresent("state") else { return nil }
    guard OrderFulfilment.filterStates.contains(state) else {
      throw FieldError(
        "state",
        .invalid("must be one of \(OrderFulfilment.filterStates.joined(separator: ", "))"))
    }
    return state
  }

  private static func seconds(_ filter: Fields) throws(FieldError) -> Int64? {
    guard let seconds = try filter.integerIfPresent("older_than_seconds") else { return nil }
    guard (0...SagaFilter.secondsMax).contains(seconds) else {
      throw FieldError(
        "older_than_seconds", .invalid("must be between 0 and \(SagaFilter.secondsMax)"))
    }
    return seconds
  }
}
