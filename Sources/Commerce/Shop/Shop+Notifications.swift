import EventSourcing

extension Shop {
  /// Asks for a message about an order, once.
  @discardableResult
  public func requestNotification(
    order: OrderID, user: CustomerID, recipient: String, subject: String,
    kind: String = "order_confirmed", channel: String = "log", context: CommitContext
  ) async throws -> Receipt {
    let notification = NotificationRequested(
      orderID: order, userID: user, recipient: recipient, kind: kind, channel: channel,
      subject: subject)
    return Receipt(
      try await notifications.begin(
        .request(notification), on: order.notificationID.text, context: context))
  }

  /// - Throws: ``NotificationRejection/notRequested``.
  @discardableResult
  public func notificationSent(
    order: OrderID, messageID: String, context: CommitContext
  ) async throws -> Receipt {
    try await handle(.sent(messageID: messageID), of: order, context)
  }

  /// - Throws: ``NotificationRejection/notRequested``.
  @discardableResult
  public func notificationFailed(
    order: OrderID, reason: String, context: CommitContext
  ) async throws -> Receipt {
    try await handle(.failed(reason: reason), of: order, context)
  }

  private func handle(
    _ command: NotificationCommand, of order: OrderID, _ context: CommitContext
  ) async throws -> Receipt {
    Receipt(
      try await notifications.handle(command, on: order.notificationID.text, context: context))
  }
}
