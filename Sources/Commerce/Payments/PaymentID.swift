/// The one payment of an order: `payment_<uuid of the order>`, also its stream id.
public struct PaymentID: Sendable, Hashable, CustomStringConvertible {
  public let text: String

  public init(_ order: OrderID) { text = "payment_" + order.key }

  public var description: String { text }
}
