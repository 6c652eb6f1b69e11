import EventSourcing
import Hummingbird

/// `/event-store/events/snapshots`: what replays of long streams start from. They are taken
/// automatically; nobody has to ask for one.
struct SnapshotRoutes {
  private static let limitDefault = 50
  private static let limitMax = 200

  let log: any EventLog
  let store: any SnapshotStore

  func register(on router: Router<APIContext>) {
    let base = router.group("/event-store/events/snapshots")
    base.post(use: take)
    base.get(use: list)
    base.get("{aggregate_type}/{aggregate_id}", use: show)
  }

  @Sendable private func take(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let body = try await StrictBody.fields(of: request, known: ["aggregate_type", "aggregate_id"])
    let stream = EventStoreReader.stream(
      category: try Self.identifier("aggregate_type", in: body),
      id: try Self.identifier("aggregate_id", in: body))
    let fold: any StateFold = StateFolds.fold(for: stream.category)
    guard fold.snapshotSchema != nil else {
      throw FieldError("aggregate_type", .invalid("is a kind of which no snapshot is kept"))
    }
    let header: Snapshot.Header?
    do {
      header = try await Snapshots(log: log, store: store).take(of: stream, with: fold)
    } catch let error as SnapshotTooLarge {
      throw FieldError("aggregate_id", .invalid("names an aggregate that cannot be kept: \(error)"))
    }
    guard let header else { throw EventStoreReader.unknownAggregate(stream) }
    return .json(
      .object(Self.fields(of: header)), status: .created, position: header.position,
      headers: [.location: "/event-store/events/snapshots/\(stream)"])
  }

  @Sendable private func show(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let stream = EventStoreReader.stream(
      category: try context.identifier("aggregate_type"),
      id: try context.identifier("aggregate_id"))
    guard let snapshot = try await store.snapshot(of: stream) else {
      throw Problem(.notFound, "there is no snapshot of \(stream)")
    }
    var fields = Self.fields(of: snapshot.header)
    fields["state"] = .object(snapshot.state)
    return .json(.object(fields), position: snapshot.header.position)
  }

  @Sendable private func list(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let parameters = QueryParameters(request)
    let limit = try parameters.limit(default: Self.limitDefault, max: Self.limitMax)
    var after: StreamName?
    if let cursor = try parameters.cursor(by: .id) {
      guard let stream = StreamName(cursor.id) else {
        throw FieldError("cursor", .invalid("is not the next_cursor of an earlier answer"))
      }
      after = stream
    }
    let found = try await store.headers(after: after, limit: limit + 1)
    let shown = found.prefix(limit)
    let next = found.count > limit ? shown.last?.stream.description : nil
    return .json([
      "snapshots": .array(shown.map { .object(Self.fields(of: $0)) }),
      "count": .integer(Int64(shown.count)),
      "next_cursor": .optional(next.map { PageCursor(sortValue: .null, id: $0).token }),
    ])
  }

  private static func identifier(_ name: String, in body: Fields) throws(FieldError) -> String {
    let text = try body.string(name)
    guard StreamName.isLegal(text) else { throw FieldError(name, .invalid(illegalIdentifier)) }
    return text
  }

  private static func fields(of header: Snapshot.Header) -> Fields {
    [
      "aggregate_type": .string(header.stream.category), "aggregate_id": .string(header.stream.id),
      "version": .integer(header.version.rawValue), "position": .integer(header.position.rawValue),
      "schema": .integer(Int64(header.schema)), "event_id": .string(header.eventID.text),
      "timestamp": .string(header.timestamp.iso8601),
      "taken_at": .string(header.takenAt.iso8601),
    ]
  }
}
