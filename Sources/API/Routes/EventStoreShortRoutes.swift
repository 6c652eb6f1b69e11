import Commerce
import EventSourcing
import Hummingbird

/// `/event-store/…`: the second, shorter path family over the same log.
struct EventStoreShortRoutes {
  let reader: EventStoreReader
  let freshness: LogFreshness

  private var log: any EventLog { reader.log }

  func register(on router: Router<APIContext>) {
    let base = router.group("/event-store").add(middleware: freshness)
    base.get("events", use: events)
    base.get("events/replay", use: replay)
    base.get("events/statistics", use: statistics)
    base.get("events/demo/order-lifecycle", use: orderLifecycle)
  }

  /// One filter at a time: by type, by aggregate, or by correlation.
  @Sendable private func events(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let parameters = QueryParameters(request)
    let (filter, described) = try Self.filter(parameters)
    let page = try await EventPage(filter, parameters).read(from: log)
    return .json(
      .object(Fields(page.fields.pairs + [("filters", .object(described))])),
      position: page.position)
  }

  private static func filter(
    _ parameters: QueryParameters
  ) throws -> (filter: EventQuery.Filter, described: Fields) {
    let type = try parameters.identifier("event_type")
    let category = try parameters.identifier("aggregate_type")
    let id = try parameters.identifier("aggregate_id")
    let correlation = try parameters.string("correlation_id")
    let given = [type, category, correlation].filter { $0 != nil }.count
    guard given <= 1 else {
      throw Problem(
        .invalidValue,
        "only one of event_type, aggregate_type with aggregate_id, and correlation_id is taken",
        field: type == nil ? "correlation_id" : "event_type")
    }
    if let type { return (.type(type), ["event_type": .string(type)]) }
    if let correlation {
      let uuid = try EventStoreReader.correlationID(correlation)
      return (.correlation(uuid), ["correlation_id": .string(uuid.text)])
    }
    guard let category else {
      if id != nil { throw FieldError("aggregate_type", .missing) }
      return (.all, [:])
    }
    guard let id else { return (.category(category), ["aggregate_type": .string(category)]) }
    let stream = EventStoreReader.stream(category: category, id: id)
    return (
      .stream(stream),
      ["aggregate_type": .string(stream.category), "aggregate_id": .string(stream.id)]
    )
  }

  @Sendable private func replay(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let parameters = QueryParameters(request)
    guard let category = try parameters.identifier("aggregate_type") else {
      throw FieldError("aggregate_type", .missing)
    }
    guard let id = try parameters.identifier("aggregate_id") else {
      throw FieldError("aggregate_id", .missing)
    }
    let bound = ReplayBound(
      version: try parameters.integer("version", in: 1...positionMax).map { Version($0) },
      time: try parameters.timestamp("at"))
    let replay = try await reader.replay(
      EventStoreReader.stream(category: category, id: id), upTo: bound)
    let events = replay.fields(showing: try await replay.events(of: log))
    return .json(
      .object(Fields(replay.fields.pairs + events.pairs)), position: replay.position)
  }

  @Sendable private func statistics(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let head = try await log.head()
    let statistics = try await log.statistics()
    return .json(
      [
        "total_events": .integer(statistics.events),
        "by_type": .array(
          statistics.types.map {
            [
              "_id": .string($0.type), "event_type": .string($0.type),
              "count": .integer($0.count), "latest": .string($0.latest.iso8601),
            ]
          }),
      ], position: head)
  }

  /// The story of one order, by default the newest one.
  @Sendable private func orderLifecycle(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let initiated: Recorded?
    if let id = try QueryParameters(request).identifier("order_id") {
      initiated = try await log.readStream(
        EventStoreReader.stream(category: Orders.category, id: id), from: Version(1), limit: 1
      ).first
    } else {
      // Somebody may have appended an event of this type by hand, to a stream of their own.
      initiated = try await log.events(
        matching: EventQuery(.type(OrderInitiated.type), isDescending: true, limit: 50)
      ).first { $0.stream.category == Orders.category }
    }
    guard let initiated else { throw Problem(.notFound, "there is no such order yet") }
    let workflow = try await reader.workflow(initiated.correlationID)
    return .json(
      [
        "correlation_id": .string(initiated.correlationID.text),
        "order_id": .string(initiated.stream.id),
        "total_events": .integer(Int64(workflow.count)),
        "timeline": EventStoreReader.timeline(workflow),
        "description": .string(
          "Everything that followed from placing \(initiated.stream.id), in order"),
      ], position: workflow.last?.position ?? initiated.position)
  }
}
