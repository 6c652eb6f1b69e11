/// The message about an order: `notification_<uuid of the order>`, also its stream id.
public struct NotificationID: Sendable, Hashable, CustomStringConvertible {
  public let text: String

  public init(_ order: OrderID) { text = "notification_" + order.key }

  public var description: String { text }
}
