/// How the payment service listens, and how it misbehaves.
public struct PaymentProviderConfiguration: Sendable {
  /// Nothing here asks who calls, so the default listens to this machine only.
  public var host = "127.0.0.1"
  public var port = 8001
  /// What every POST waits before anything is done. Can be changed while the service runs.
  public var latencyMilliseconds: Int64 = 0
  /// How many requests fail. Can be changed while the service runs.
  public var failureRate = FailureRate.never
  /// What they fail with; one is drawn for each failure. Can be changed while the service runs.
  public var failureCodes: [FailureCode] = FailureCode.declines
  /// The same seed draws the same failures in the same order.
  public var seed: UInt64 = 1
  /// What `test_slow` waits.
  public var slowAnswerMilliseconds: Int64 = 3_000
  /// How long a connection that never gets an answer is held before it is closed.
  public var heldConnectionMilliseconds: Int64 = 60_000
  /// Connections accepted at once; more wait in the listen queue.
  public var connectionsMax = 1_024

  public init() {}

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  static let latencyMillisecondsAllowed: ClosedRange<Int64> = 0...60_000
}
