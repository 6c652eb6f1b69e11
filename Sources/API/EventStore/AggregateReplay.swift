import Commerce
import EventSourcing

/// Folds a stream up to a version or a moment, through the very `evolve` that decisions use, from a
/// snapshot on when there is one.
struct AggregateReplay {
  /// How many events of a long stream an answer lists: the last ones.
  static let eventsShownMax = 1000

  var stream: StreamName
  var state: Fields
  var version: Version
  var position: Position
  var last: Recorded

  /// Nil for a stream without events, or without one inside the bound.
  static func run(
    _ stream: StreamName, _ snapshots: Snapshots, upTo bound: ReplayBound = ReplayBound()
  ) async throws -> AggregateReplay? {
    try await run(stream, with: StateFolds.fold(for: stream.category), snapshots, upTo: bound)
  }

  private static func run(
    _ stream: StreamName, with empty: some StateFold, _ snapshots: Snapshots,
    upTo bound: ReplayBound
  ) async throws -> AggregateReplay? {
    guard let folded = try await snapshots.fold(stream, with: empty, upTo: bound) else {
      return nil
    }
    return AggregateReplay(
      stream: stream, state: folded.fold.rendered, version: folded.version,
      position: folded.last.position, last: folded.last)
  }

  /// The last events that were folded, also those that only a snapshot knows.
  func events(of log: any EventLog) async throws -> [Recorded] {
    let first = max(1, version.rawValue - Int64(Self.eventsShownMax) + 1)
    let count = Int(version.rawValue - first) + 1
    return try await log.readStream(stream, from: Version(first), limit: count)
  }

  var fields: Fields {
    [
      "aggregate_type": .string(stream.category), "aggregate_id": .string(stream.id),
      "version": .integer(version.rawValue), "position": .integer(position.rawValue),
      "event_count": .integer(version.rawValue), "current_state": .object(state),
      "replayed_at": .string(Timestamp.now.iso8601),
    ]
  }

  /// The shown events of the stream, and whether older ones are left out.
  func fields(showing events: [Recorded]) -> Fields {
    [
      "events": .array(events.map(\.envelope)),
      "events_truncated": .bool(Int64(events.count) < version.rawValue),
    ]
  }
}
