import EventSourcing

/// What the event store shows over HTTP, for tools that print the same.
public enum EventStoreJSON {
  /// The envelope of an event.
  public static func envelope(of event: Recorded) -> Value { event.envelope }

  /// The state of an aggregate, folded from its events up to `version`; nil when there are none.
  public static func replay(
    _ stream: StreamName, of log: any EventLog, version: Version? = nil
  ) async throws -> Value? {
    try await AggregateReplay.run(stream, of: log, upTo: AggregateReplay.Bound(version: version))
      .map { .object($0.fields) }
  }
}
