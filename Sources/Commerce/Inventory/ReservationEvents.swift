import EventSourcing

/// Pieces are held for an order.
///
/// Schema 2 says until when; what schema 1 reserved is held until it is released.
public struct StockReserved: Sendable, Hashable {
  public static var type: String { "StockReserved" }
  static var schema: Int { 2 }
  static let fromSchema1 = Upcaster(type, from: 1) { $0 }

  public var productID: ProductID
  public var orderID: OrderID
  public var quantity: Int64
  /// Where the pieces come from; they add up to `quantity`.
  public var allocations: [Allocation]
  /// When others who are short may have the pieces, unless the order's payment has begun. Nil:
  /// they are held until they are released.
  public var expiresAt: Timestamp?
  public var level: StockLevel

  public init(
    productID: ProductID, orderID: OrderID, quantity: Int64, allocations: [Allocation],
    expiresAt: Timestamp? = nil, level: StockLevel
  ) {
    self.productID = productID
    self.orderID = orderID
    self.quantity = quantity
    self.allocations = allocations
    self.expiresAt = expiresAt
    self.level = level
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderID()
    quantity = try fields.integer("quantity")
    allocations = try fields.allocations()
    expiresAt = try fields.timestampIfPresent("expires_at")
    level = try StockLevel(fields: fields)
  }

  public var reservationID: ReservationID { ReservationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 8) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID.text)
      $0.add("reservation_id", reservationID.text)
      $0.add("quantity", quantity)
      $0.add("allocations", allocations)
      $0.add("expires_at", expiresAt?.iso8601)
      $0.add(level)
    }
  }
}

/// An order asked for more than there is, and holds nothing.
public struct StockUnavailable: Sendable, Hashable {
  public static var type: String { "StockUnavailable" }

  public var productID: ProductID
  public var orderID: OrderID
  public var requestedQuantity: Int64
  /// What the order could have had, at the locations that it takes from.
  public var availableQuantity: Int64
  public var reason: String

  public init(
    productID: ProductID, orderID: OrderID, requestedQuantity: Int64, availableQuantity: Int64,
    reason: String
  ) {
    self.productID = productID
    self.orderID = orderID
    self.requestedQuantity = requestedQuantity
    self.availableQuantity = availableQuantity
    self.reason = reason
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderID()
    requestedQuantity = try fields.integer("requested_quantity")
    availableQuantity = try fields.integer("available_quantity")
    reason = try fields.string("reason")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 5) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID.text)
      $0.add("requested_quantity", requestedQuantity)
      $0.add("available_quantity", availableQuantity)
      $0.add("reason", reason)
    }
  }
}

/// Pieces that were held for an order are free again.
public struct StockReleased: Sendable, Hashable {
  public static var type: String { "StockReleased" }

  public var productID: ProductID
  public var orderID: OrderID
  public var quantity: Int64
  /// Where the pieces go back to; they add up to `quantity`.
  public var allocations: [Allocation]
  public var reason: String
  public var level: StockLevel

  public init(
    productID: ProductID, orderID: OrderID, quantity: Int64, allocations: [Allocation],
    reason: String, level: StockLevel
  ) {
    self.productID = productID
    self.orderID = orderID
    self.quantity = quantity
    self.allocations = allocations
    self.reason = reason
    self.level = level
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderID()
    quantity = try fields.integer("quantity")
    allocations = try fields.allocations()
    reason = try fields.string("reason")
    level = try StockLevel(fields: fields)
  }

  public var reservationID: ReservationID { ReservationID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 8) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID.text)
      $0.add("reservation_id", reservationID.text)
      $0.add("quantity", quantity)
      $0.add("allocations", allocations)
      $0.add("reason", reason)
      $0.add(level)
    }
  }
}
