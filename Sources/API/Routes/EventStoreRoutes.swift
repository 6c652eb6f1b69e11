import Commerce
import EventSourcing
import Hummingbird

/// `/event-store/api/v1/…`: the log as it is, replays, and appends by hand.
struct EventStoreRoutes {
  let reader: EventStoreReader
  let serviceName: String
  let freshness: LogFreshness

  private var log: any EventLog { reader.log }

  func register(on router: Router<APIContext>) {
    let base = router.group("/event-store/api/v1").add(middleware: freshness)
    base.get("events", use: events)
    base.get("events/type/{event_type}", use: eventsOfType)
    base.get("events/aggregate/{aggregate_type}/{aggregate_id}", use: eventsOfAggregate)
    base.get("events/correlation/{correlation_id}", use: eventsOfCorrelation)
    base.post("events/store", use: store)
    base.get("replay/aggregate/{aggregate_type}/{aggregate_id}", use: replayAggregate)
    base.get("replay/demo/order/{order_id}", use: replayOrder)
    base.get("statistics", use: statistics)
  }

  @Sendable private func events(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try await EventPage(.all, QueryParameters(request)).read(from: log)
    return .json(.object(page.fields), position: page.position)
  }

  @Sendable private func eventsOfType(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let type = try context.identifier("event_type")
    let page = try await EventPage(.type(type), QueryParameters(request)).read(from: log)
    return .json(
      .object(Fields([("event_type", .string(type))] + page.fields.pairs)), position: page.position)
  }

  @Sendable private func eventsOfAggregate(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let stream = try Self.stream(context)
    let parameters = QueryParameters(request)
    let from = Version(try parameters.integer("from_version", in: 1...positionMax) ?? 1)
    let limit = try parameters.limit(default: EventPage.limitDefault, max: EventPage.limitMax)
    let version = try await log.version(of: stream)
    guard version > .none else { throw EventStoreReader.unknownAggregate(stream) }
    let events = try await log.readStream(stream, from: from, limit: limit)
    let next = events.last.map(\.version).flatMap { $0 < version ? $0.rawValue + 1 : nil }
    return .json(
      [
        "aggregate_type": .string(stream.category), "aggregate_id": .string(stream.id),
        "version": .integer(version.rawValue), "from_version": .integer(from.rawValue),
        "events": .array(events.map(\.envelope)), "count": .integer(Int64(events.count)),
        "next_from_version": .optional(next),
      ], position: events.last?.position)
  }

  @Sendable private func eventsOfCorrelation(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let text = try context.identifier("correlation_id")
    let id = try EventStoreReader.correlationID(text)
    let events = try await reader.workflow(id)
    guard let last = events.last else {
      throw Problem(.notFound, "no event has the correlation id \(id.text)")
    }
    return .json(
      [
        "correlation_id": .string(id.text), "events": .array(events.map(\.envelope)),
        "count": .integer(Int64(events.count)),
        "workflow_trace": EventStoreReader.workflowTrace(events),
      ], position: last.position)
  }

  @Sendable private func replayAggregate(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let parameters = QueryParameters(request)
    let bound = ReplayBound(
      version: try parameters.integer("version", in: 1...positionMax).map { Version($0) },
      time: try parameters.timestamp("at"))
    let replay = try await reader.replay(try Self.stream(context), upTo: bound)
    return .json(.object(replay.fields), position: replay.position)
  }

  @Sendable private func replayOrder(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let id = try context.identifier("order_id")
    let replay = try await reader.replay(EventStoreReader.stream(category: "orders", id: id))
    let events = try await replay.events(of: log)
    let first = try await log.readStream(replay.stream, from: Version(1), limit: 1).first
    let begun = first ?? replay.last
    let workflow = try await reader.workflow(begun.correlationID)
    return .json(
      [
        "order_id": .string(replay.stream.id), "current_state": .object(replay.state),
        "order_events": .array(events.map(\.envelope)),
        "complete_workflow": .array(workflow.map(\.envelope)),
        "lifecycle_summary": [
          "total_events": .integer(Int64(workflow.count)),
          "status": replay.state["status"] ?? .null,
          "created_at": .string(begun.timestamp.iso8601),
          "last_updated": .string((workflow.last ?? replay.last).timestamp.iso8601),
        ],
      ], position: max(replay.position, workflow.last?.position ?? .start))
  }

  @Sendable private func statistics(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let head = try await log.head()
    let statistics = try await log.statistics()
    return .json(
      [
        "total_events": .integer(statistics.events),
        "total_commits": .integer(statistics.commits),
        "aggregate_types": .array(statistics.categories.map(Value.string)),
        "unique_event_types": .integer(Int64(statistics.types.count)),
        "event_types": .array(
          statistics.types.map {
            [
              "event_type": .string($0.type), "count": .integer($0.count),
              "latest": .string($0.latest.iso8601),
            ]
          }),
      ], position: head)
  }

  @Sendable private func store(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let body = try await StrictBody.fields(of: request, known: ManualEvent.fieldNames)
    let event = try ManualEvent(body)
    let command = try CommandRequest(
      request, context, route: "POST /event-store/api/v1/events/store", body: body,
      serviceName: serviceName)
    let appended = try await log.append(event.commit(command.context))
    guard let stored = appended.commit.events.first else {
      throw Problem(.internalError, "the commit holds no event")
    }
    return .json(
      [
        "message": "event stored", "event_id": .string(stored.eventID.text),
        "stored_at": .string(stored.timestamp.iso8601),
        "position": .integer(stored.position.rawValue),
        "version": .integer(stored.version.rawValue),
      ], status: .created, position: stored.position,
      headers: [
        .location: "/event-store/api/v1/events/aggregate/\(stored.stream)"
      ])
  }

  private static func stream(_ context: APIContext) throws(FieldError) -> StreamName {
    EventStoreReader.stream(
      category: try context.identifier("aggregate_type"),
      id: try context.identifier("aggregate_id"))
  }
}
