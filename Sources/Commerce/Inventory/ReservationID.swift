/// What an order holds, over all its products: `reservation_<uuid of the order>`.
public struct ReservationID: Sendable, Hashable, CustomStringConvertible {
  public let text: String

  public init(_ order: OrderID) { text = "reservation_" + order.key }

  public var description: String { text }
}
