import EventSourcing

/// Time as an input, so that tests neither wait nor depend on it.
public struct ReactorClock: Sendable {
  public var now: @Sendable () -> Timestamp
  /// Throws `CancellationError` when the task is cancelled.
  public var sleep: @Sendable (Duration) async throws -> Void

  public init(
    now: @escaping @Sendable () -> Timestamp,
    sleep: @escaping @Sendable (Duration) async throws -> Void
  ) {
    self.now = now
    self.sleep = sleep
  }

  public static let system = ReactorClock(
    now: { .now }, sleep: { try await Task.sleep(for: $0) })
}
