import EventSourcing

/// What happens to the message about an order, in `notifications/<notification_id>`.
public enum NotificationEvent: Event, Hashable {
  case requested(NotificationRequested)
  case sent(NotificationSent)
  case failed(NotificationFailed)

  public var type: String {
    switch self {
    case .requested: NotificationRequested.type
    case .sent: NotificationSent.type
    case .failed: NotificationFailed.type
    }
  }

  public var data: Fields {
    switch self {
    case .requested(let event): event.fields
    case .sent(let event): event.fields
    case .failed(let event): event.fields
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    switch (type, schema) {
    case (NotificationRequested.type, 1):
      self = .requested(try NotificationRequested(fields: data))
    case (NotificationSent.type, 1): self = .sent(try NotificationSent(fields: data))
    case (NotificationFailed.type, 1): self = .failed(try NotificationFailed(fields: data))
    default: throw UnknownEvent(type: type, schema: schema)
    }
  }
}

public struct NotificationRequested: Sendable, Hashable {
  public static var type: String { "NotificationRequested" }

  public var orderID: OrderID
  public var userID: CustomerID
  /// The address that it goes to.
  public var recipient: String
  /// What it is about: `order_confirmed`. The field `type`.
  public var kind: String
  /// How it travels: `log`.
  public var channel: String
  public var subject: String

  public init(
    orderID: OrderID, userID: CustomerID, recipient: String,
    kind: String = "order_confirmed", channel: String = "log", subject: String
  ) {
    self.orderID = orderID
    self.userID = userID
    self.recipient = recipient
    self.kind = kind
    self.channel = channel
    self.subject = subject
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    userID = try fields.customerID()
    recipient = try fields.string("recipient")
    kind = try fields.string("type")
    channel = try fields.string("channel")
    subject = try fields.string("subject")
  }

  public var notificationID: NotificationID { NotificationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("notification_id", notificationID.text)
      $0.add("order_id", orderID.text)
      $0.add("user_id", userID.value)
      $0.add("recipient", recipient)
      $0.add("type", kind)
      $0.add("channel", channel)
      $0.add("subject", subject)
    }
  }
}

public struct NotificationSent: Sendable, Hashable {
  public static var type: String { "NotificationSent" }
  public static var status: String { "sent" }

  public var orderID: OrderID
  public var recipient: String
  /// The field `type`.
  public var kind: String
  public var channel: String
  public var messageID: String

  public init(
    orderID: OrderID, recipient: String, kind: String, channel: String, messageID: String
  ) {
    self.orderID = orderID
    self.recipient = recipient
    self.kind = kind
    self.channel = channel
    self.messageID = messageID
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    recipient = try fields.string("recipient")
    kind = try fields.string("type")
    channel = try fields.string("channel")
    messageID = try fields.string("message_id")
  }

  public var notificationID: NotificationID { NotificationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("notification_id", notificationID.text)
      $0.add("order_id", orderID.text)
      $0.add("recipient", recipient)
      $0.add("type", kind)
      $0.add("channel", channel)
      $0.add("status", Self.status)
      $0.add("message_id", messageID)
    }
  }
}

public struct NotificationFailed: Sendable, Hashable {
  public static var type: String { "NotificationFailed" }

  public var orderID: OrderID
  public var recipient: String
  /// The field `type`.
  public var kind: String
  public var channel: String
  public var reason: String

  public init(
    orderID: OrderID, recipient: String, kind: String, channel: String, reason: String
  ) {
    self.orderID = orderID
    self.recipient = recipient
    self.kind = kind
    self.channel = channel
    self.reason = reason
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    recipient = try fields.string("recipient")
    kind = try fields.string("type")
    channel = try fields.string("channel")
    reason = try fields.string("reason")
  }

  public var notificationID: NotificationID { NotificationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 6) {
      $0.add("notification_id", notificationID.text)
      $0.add("order_id", orderID.text)
      $0.add("recipient", recipient)
      $0.add("type", kind)
      $0.add("channel", channel)
      $0.add("reason", reason)
    }
  }
}
