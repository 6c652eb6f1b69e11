/// Exponential backoff with full jitter: a random time between a floor and a bound that doubles.
public struct Backoff: Sendable {
  public var first: Duration
  public var maximum: Duration

  public init(first: Duration, maximum: Duration) {
    self.first = first
    self.maximum = maximum
  }

  public static let standard = Backoff(first: .milliseconds(50), maximum: .seconds(2))

  /// The pause after the failure number `attempt` (1, 2, 3 …).
  public func delay(attempt: Int) -> Duration {
    let bound = min(maximum, first * (1 << min(max(attempt - 1, 0), 20)))
    return first / 2 + (bound - first / 2) * Double.random(in: 0...1)
  }
}
