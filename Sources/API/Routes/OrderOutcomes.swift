import Commerce
import EventSourcing

/// Follows orders to their end in the log, wherever the saga runs.
struct OrderOutcomes {
  enum Outcome {
    case confirmed(Position)
    case cancelled(OrderCancelled, Position)
  }

  let log: any EventLog

  /// How the order ended; nil when it has not within `seconds`.
  ///
  /// The stream is looked at again after 5 ms, 10 ms, … 100 ms: an order ends within tens of
  /// milliseconds, and a thousand callers who wait for a stuck one must not load the log.
  func wait(for order: OrderID, seconds: Int) async throws -> Outcome? {
    let deadline = ContinuousClock.now + .seconds(seconds)
    var pause = Duration.milliseconds(5)
    var next = Version(1)
    var outcome: Outcome?
    while true {
      let events = try await log.readStream(Orders.stream(order.text), from: next, limit: 100)
      for event in events {
        switch try Orders.decode(event) {
        case .confirmed: outcome = .confirmed(event.position)
        case .cancelled(let cancelled): outcome = .cancelled(cancelled, event.position)
        case .initiated: break
        // The order is on its way back: what counts is its cancellation.
        case .cancellationRequested: outcome = nil
        }
        next = event.version + 1
      }
      if let outcome { return outcome }
      guard ContinuousClock.now < deadline else { return nil }
      try await Task.sleep(for: min(pause, deadline - .now))
      pause = min(pause * 2, .milliseconds(100))
    }
  }
}
