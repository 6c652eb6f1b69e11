import EventSourcing
import Foundation

/// An order's id, `order_<uuid>`, the uuid being the id of the command that placed it. What belongs
/// to the order is named by the same uuid.
public struct OrderID: Sendable, Hashable, Comparable, CustomStringConvertible {
  private static let prefix = "order_"
  /// So that `notification_<key>` is still a legal stream id.
  private static let keyLengthMax = 51

  public let text: String

  public init(_ command: CommandID) { text = Self.prefix + command.description }

  /// Reads an id with or without `order_`; nil for what cannot be one. A UUID is taken in any case.
  public init?(_ text: String) {
    var key = text.hasPrefix(Self.prefix) ? String(text.dropFirst(Self.prefix.count)) : text
    guard StreamName.isLegal(key), key.utf8.count <= Self.keyLengthMax else { return nil }
    if let uuid = UUID(uuidString: key) { key = uuid.text }
    self.text = Self.prefix + key
  }

  /// Reads the id of an order's saga, `saga_order_<uuid>`, or of the order itself.
  public init?(ofSaga text: String) {
    let prefix = "saga_"
    self.init(text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text)
  }

  fileprivate init?(recorded text: String) {
    guard text.hasPrefix(Self.prefix) else { return nil }
    self.text = text
  }

  /// The part after `order_`.
  public var key: Substring { text.dropFirst(Self.prefix.count) }

  public var paymentID: PaymentID { PaymentID(self) }
  public var notificationID: NotificationID { NotificationID(self) }
  public var reservationID: ReservationID { ReservationID(self) }
  /// The id of the saga's stream, `saga_order_<uuid>`.
  public var sagaID: String { "saga_" + text }

  public var description: String { text }

  public static func < (left: OrderID, right: OrderID) -> Bool { left.text < right.text }
}

extension Fields {
  /// An order id as events hold it, with its prefix.
  public func orderID(_ key: String = "order_id") throws(FieldError) -> OrderID {
    let text = try string(key)
    guard let id = OrderID(recorded: text) else {
      throw FieldError(key, .invalid("must be an order id"))
    }
    return id
  }

  public func orderIDIfPresent(_ key: String = "order_id") throws(FieldError) -> OrderID? {
    try stringIfPresent(key) == nil ? nil : try orderID(key)
  }
}
