import EventSourcing

/// A reservation was undone before it came: the tombstone that refuses it should it still come.
public struct StockReservationBarred: Sendable, Hashable {
  public static var type: String { "StockReservationBarred" }

  public var productID: ProductID
  public var orderID: OrderID
  public var reason: String

  public init(productID: ProductID, orderID: OrderID, reason: String) {
    self.productID = productID
    self.orderID = orderID
    self.reason = reason
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderID()
    reason = try fields.string("reason")
  }

  public var reservationID: ReservationID { ReservationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 4) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID.text)
      $0.add("reservation_id", reservationID.text)
      $0.add("reason", reason)
    }
  }
}
