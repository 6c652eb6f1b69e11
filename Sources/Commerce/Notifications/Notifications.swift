import EventSourcing

public enum NotificationCommand: Sendable, Hashable {
  case request(NotificationRequested)
  case sent(messageID: String)
  case failed(reason: String)
}

public enum NotificationRejection: Error, Sendable, Hashable {
  case notRequested
}

public enum NotificationStatus: String, Sendable, Hashable, CaseIterable {
  case requested, sent, failed
}

public struct Notification: Sendable, Hashable {
  /// Nil while nothing was requested.
  public var requested: NotificationRequested?
  /// Nil while nothing was requested.
  public var status: NotificationStatus?
}

/// One message an order, sent at best effort: its first outcome is its last.
public enum Notifications: Decider {
  public typealias State = Notification
  public typealias Command = NotificationCommand
  public typealias Event = NotificationEvent
  public typealias Rejection = NotificationRejection

  public static var category: String { "notifications" }
  public static var initial: Notification { Notification() }

  public static func decide(
    _ command: NotificationCommand, _ state: Notification
  ) throws(NotificationRejection) -> [NotificationEvent] {
    if case .request(let notification) = command {
      return state.requested == nil ? [.requested(notification)] : []
    }
    guard let notification = state.requested else { throw .notRequested }
    guard state.status == .requested else { return [] }
    switch command {
    case .request: return []
    case .sent(let messageID):
      return [
        .sent(
          NotificationSent(
            orderID: notification.orderID, recipient: notification.recipient,
            kind: notification.kind, channel: notification.channel,
            messageID: messageID))
      ]
    case .failed(let reason):
      return [
        .failed(
          NotificationFailed(
            orderID: notification.orderID, recipient: notification.recipient,
            kind: notification.kind, channel: notification.channel,
            reason: reason))
      ]
    }
  }

  public static func evolve(_ state: inout Notification, _ event: NotificationEvent) {
    switch event {
    case .requested(let notification):
      state.requested = notification
      state.status = .requested
    case .sent: state.status = .sent
    case .failed: state.status = .failed
    }
  }
}
