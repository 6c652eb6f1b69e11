import Commerce
import EventSourcing
import Logging

/// A way by which messages leave. Sending the same message twice must be harmless or rare: it is
/// repeated after a crash.
public protocol NotificationChannel: Sendable {
  /// - Returns: the id that the channel gave the message.
  func send(_ message: NotificationRequested) async throws -> String
}

/// Writes each message as a line of the log.
public struct LogChannel: NotificationChannel {
  private let logger: Logger

  public init(logger: Logger) { self.logger = logger }

  public func send(_ message: NotificationRequested) async throws -> String {
    logger.info(
      "notification: \(message.subject)",
      metadata: [
        "notification": "\(message.notificationID)", "recipient": "\(message.recipient)",
        "order": "\(message.orderID)",
      ])
    return "log_\(message.notificationID)"
  }
}

/// Sends what notifications ask for, and records how it went: a message that does not leave after
/// a few attempts has failed.
public struct NotificationReactor: Sendable {
  public static let name = "notification-reactor.v1"

  private let shop: Shop
  private let channel: any NotificationChannel
  private let clock: ReactorClock
  private let logger: Logger
  private let backoff: Backoff
  private let attemptsMax: Int

  public init(
    shop: Shop, channel: any NotificationChannel, logger: Logger, clock: ReactorClock = .system,
    backoff: Backoff = .standard, attemptsMax: Int = 5
  ) {
    self.shop = shop
    self.channel = channel
    self.clock = clock
    self.logger = logger
    self.backoff = backoff
    self.attemptsMax = attemptsMax
  }

  /// The message that an event asks for; nil for all other events.
  public func key(for event: Recorded) -> String? {
    guard event.stream.category == Notifications.category,
      event.type == NotificationRequested.type
    else { return nil }
    return event.stream.id
  }

  /// Returns when the outcome is recorded, or was before.
  public func handle(_ event: Recorded) async throws {
    guard key(for: event) != nil else { return }
    let message = try NotificationRequested(fields: Notifications.currentData(of: event))
    let id = message.notificationID.text
    guard try await shop.notifications.state(after: event).status == .requested else { return }
    let context = CommitContext(
      outcomeOf: id, of: event, at: clock.now(), by: "notifications")
    switch try await send(message) {
    case .success(let messageID):
      try await shop.notificationSent(
        order: message.orderID, messageID: messageID, context: context)
    case .failure(let error):
      try await shop.notificationFailed(
        order: message.orderID, reason: "\(error)", context: context)
    }
  }

  /// Throws only when cancelled.
  private func send(_ message: NotificationRequested) async throws -> Result<String, any Error> {
    var attempt = 0
    while true {
      do {
        CrashPoint.pass("before a message is sent")
        let id = try await channel.send(message)
        CrashPoint.pass("after a message was sent")
        return .success(id)
      } catch let cancellation as CancellationError {
        throw cancellation
      } catch {
        attempt += 1
        guard attempt < attemptsMax else {
          logger.warning(
            "a notification could not be sent",
            metadata: ["notification": "\(message.notificationID)", "error": "\(error)"])
          return .failure(error)
        }
        try await clock.sleep(backoff.delay(attempt: attempt))
      }
    }
  }
}
