import EventSourcing

/// What the event store shows over HTTP, for tools that print the same.
public enum EventStoreJSON {
  /// The envelope of an event.
  public static func envelope(of event: Recorded) -> Value { event.envelope }

  /// The state of an aggregate, folded from its events up to `version`; nil when there are none.
  /// - Parameter snapshots: nil: folded from the first event.
  public static func replay(
    _ stream: StreamName, of log: any EventLog, snapshots: (any SnapshotStore)? = nil,
    version: Version? = nil
  ) async throws -> Value? {
    try await AggregateReplay.run(
      stream, Snapshots(log: log, store: snapshots), upTo: ReplayBound(version: version)
    ).map { .object($0.fields) }
  }
}
