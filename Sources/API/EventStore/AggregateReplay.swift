import Commerce
import EventSourcing

/// Folds a stream up to a version or a moment, through the very `evolve` that decisions use.
struct AggregateReplay {
  /// How many events of a long stream an answer lists: the last ones.
  static let eventsShownMax = 1000

  /// Where to stop.
  struct Bound {
    var version: Version?
    var time: Timestamp?

    func includes(_ event: Recorded) -> Bool {
      if let version, event.version > version { return false }
      if let time, event.timestamp > time { return false }
      return true
    }
  }

  var stream: StreamName
  var state: Fields
  var version: Version
  var position: Position
  /// The last ones of the stream that were folded.
  var events: [Recorded]
  var first: Recorded
  var last: Recorded

  /// Nil for a stream without events, or without one inside the bound.
  static func run(
    _ stream: StreamName, of log: any EventLog, upTo bound: Bound = Bound()
  ) async throws -> AggregateReplay? {
    var fold = StateFolds.fold(for: stream.category)
    var shown: [Recorded] = []
    var first: Recorded?
    var next = Version(1)
    reading: while true {
      let page = try await log.readStream(stream, from: next, limit: 1000)
      for event in page {
        guard bound.includes(event) else { break reading }
        try fold.apply(event)
        if first == nil { first = event }
        shown.append(event)
      }
      if shown.count > 2 * eventsShownMax { shown.removeFirst(shown.count - eventsShownMax) }
      guard page.count == 1000, let last = page.last else { break }
      next = last.version + 1
    }
    guard let first, let last = shown.last else { return nil }
    return AggregateReplay(
      stream: stream, state: fold.rendered, version: last.version, position: last.position,
      events: shown.suffix(eventsShownMax), first: first, last: last)
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
  var eventFields: Fields {
    [
      "events": .array(events.map(\.envelope)),
      "events_truncated": .bool(Int64(events.count) < version.rawValue),
    ]
  }
}
