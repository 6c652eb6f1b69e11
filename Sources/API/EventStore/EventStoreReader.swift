import Commerce
import EventSourcing
import Foundation
import Hummingbird

/// What both path families of the event store answer from.
struct EventStoreReader {
  let log: any EventLog
  let snapshots: any SnapshotStore

  /// The stream of an aggregate. Orders are found with and without the `order_` of their ids.
  static func stream(category: String, id: String) -> StreamName {
    if category == Orders.category, let order = OrderID(id) {
      return StreamName(category: category, id: order.text)
    }
    return StreamName(category: category, id: id)
  }

  static func correlationID(_ text: String) throws(FieldError) -> UUID {
    guard let id = UUID(uuidString: text) else {
      throw FieldError("correlation_id", .invalid("must be a UUID"))
    }
    return id
  }

  /// All events of a business transaction in the order of the log, at most 1000.
  func workflow(_ id: UUID) async throws -> [Recorded] {
    try await log.events(matching: EventQuery(.correlation(id), limit: 1000))
  }

  func replay(
    _ stream: StreamName, upTo bound: ReplayBound = ReplayBound()
  ) async throws -> AggregateReplay {
    let snapshots = Snapshots(log: log, store: snapshots)
    if let replay = try await AggregateReplay.run(stream, snapshots, upTo: bound) {
      if let version = bound.version, version > replay.version, bound.time == nil {
        throw FieldError("version", .invalid("is beyond the aggregate's version \(replay.version)"))
      }
      return replay
    }
    if try await log.version(of: stream) == .none { throw Self.unknownAggregate(stream) }
    throw Problem(.notFound, "\(stream) did not exist yet at that moment", field: "at")
  }

  static func unknownAggregate(_ stream: StreamName) -> Problem {
    Problem(.notFound, "no aggregate \(stream) has any event")
  }

  /// What happened, step by step, in the words of the first path family.
  static func workflowTrace(_ events: [Recorded]) -> Value {
    .array(
      events.enumerated().map { index, event in
        [
          "step": .integer(Int64(index + 1)), "event_type": .string(event.type),
          "aggregate_type": .string(event.stream.category),
          "aggregate_id": .string(event.stream.id),
          "service": .string(event.header.context.serviceName),
          "occurred_at": .string(event.timestamp.iso8601),
          "position": .integer(event.position.rawValue),
        ]
      })
  }

  /// The same in the words of the second.
  static func timeline(_ events: [Recorded]) -> Value {
    .array(
      events.map { event in
        [
          "timestamp": .string(event.timestamp.iso8601), "event_type": .string(event.type),
          "service": .string(event.header.context.serviceName), "data": .object(event.data),
          "position": .integer(event.position.rawValue),
        ]
      })
  }
}
