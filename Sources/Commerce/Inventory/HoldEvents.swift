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

/// What an order holds of a product is held for longer.
public struct StockHoldExtended: Sendable, Hashable {
  public static var type: String { "StockHoldExtended" }

  public var productID: ProductID
  public var orderID: OrderID
  public var expiresAt: Timestamp

  public init(productID: ProductID, orderID: OrderID, expiresAt: Timestamp) {
    self.productID = productID
    self.orderID = orderID
    self.expiresAt = expiresAt
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderID()
    expiresAt = try fields.timestamp("expires_at")
  }

  public var reservationID: ReservationID { ReservationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 4) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID.text)
      $0.add("reservation_id", reservationID.text)
      $0.add("expires_at", expiresAt.iso8601)
    }
  }
}

/// What an order holds of a product does not expire any more: somebody else wanted it after its
/// time, and the order's payment had begun.
public struct StockHoldSecured: Sendable, Hashable {
  public static var type: String { "StockHoldSecured" }

  public var productID: ProductID
  public var orderID: OrderID

  public init(productID: ProductID, orderID: OrderID) {
    self.productID = productID
    self.orderID = orderID
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderID()
  }

  public var reservationID: ReservationID { ReservationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 3) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID.text)
      $0.add("reservation_id", reservationID.text)
    }
  }
}
