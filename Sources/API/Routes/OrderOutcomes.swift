import Commerce
import EventSourcing
import ServiceLifecycle

/// Follows orders to their end in the log, wherever the saga runs.
struct OrderOutcomes {
  enum Outcome {
    case confirmed(Position)
    case cancelled(OrderCancelled, Position)
  }

  let log: any EventLog

  /// How the order ended; nil when that is not known within `seconds`, or by when the server is
  /// told to end. A log that cannot be read now is no error: the order is in it, and the caller is
  /// told so.
  ///
  /// The stream is looked at again after 5 ms, 10 ms, … 100 ms: an order ends within tens of
  /// milliseconds, and a thousand callers who wait for a stuck one must not load the log.
  func wait(for order: OrderID, seconds: Int) async -> Outcome? {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var pause = Duration.milliseconds(5)
    while true {
      if let outcome = try? await outcome(of: order) { return outcome }
      guard ContinuousClock.now < deadline, !Task.isCancelled, !Task.isShuttingDownGracefully
      else { return nil }
      try? await Task.sleep(for: min(pause, deadline - .now))
      pause = min(pause * 2, .milliseconds(100))
    }
  }

  /// What the order's stream says, which is a handful of events long.
  private func outcome(of order: OrderID) async throws -> Outcome? {
    var outcome: Outcome?
    for event in try await log.stream(Orders.stream(order.text)) {
      switch try Orders.decode(event) {
      case .confirmed: outcome = .confirmed(event.position)
      case .cancelled(let cancelled): outcome = .cancelled(cancelled, event.position)
      case .initiated: break
      // The order is on its way back: what counts is its cancellation.
      case .cancellationRequested: outcome = nil
      }
    }
    return outcome
  }
}
