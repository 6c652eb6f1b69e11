import EventSourcing

/// Pieces came in.
public struct StockRestocked: Sendable, Hashable {
  public static var type: String { "StockRestocked" }

  public var productID: ProductID
  public var productName: String?
  public var quantity: Int64
  public var location: Location
  public var level: StockLevel
  /// Below so many available pieces the product counts as low.
  public var reorderLevel: Int64

  public init(
    productID: ProductID, productName: String? = nil, quantity: Int64, location: Location,
    level: StockLevel, reorderLevel: Int64
  ) {
    self.productID = productID
    self.productName = productName
    self.quantity = quantity
    self.location = location
    self.level = level
    self.reorderLevel = reorderLevel
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    productName = try fields.stringIfPresent("product_name")
    quantity = try fields.integer("quantity")
    location = try fields.location()
    level = try StockLevel(fields: fields)
    reorderLevel = try fields.integer("reorder_level")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("product_id", productID.value)
      $0.add("product_name", productName)
      $0.add("quantity", quantity)
      $0.add("location", location.name)
      $0.add(level)
      $0.add("reorder_level", reorderLevel)
    }
  }
}

/// Pieces were sold: they left the shop.
public struct StockDeducted: Sendable, Hashable {
  public static var type: String { "StockDeducted" }

  public var productID: ProductID
  public var orderID: OrderID?
  public var quantity: Int64
  /// Where the pieces were taken; they add up to `quantity`.
  public var allocations: [Allocation]
  /// Whether they were held for the order; otherwise they were free.
  public var isFromReservation: Bool
  public var level: StockLevel

  public init(
    productID: ProductID, orderID: OrderID? = nil, quantity: Int64, allocations: [Allocation],
    isFromReservation: Bool, level: StockLevel
  ) {
    self.productID = productID
    self.orderID = orderID
    self.quantity = quantity
    self.allocations = allocations
    self.isFromReservation = isFromReservation
    self.level = level
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    orderID = try fields.orderIDIfPresent()
    quantity = try fields.integer("quantity")
    allocations = try fields.allocations()
    isFromReservation = try fields.bool("from_reservation")
    level = try StockLevel(fields: fields)
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("product_id", productID.value)
      $0.add("order_id", orderID?.text)
      $0.add("quantity", quantity)
      $0.add("allocations", allocations)
      $0.add("from_reservation", isFromReservation)
      $0.add(level)
    }
  }
}

/// Somebody counted: the free pieces at a location are more or fewer than was thought.
public struct StockAdjusted: Sendable, Hashable {
  public static var type: String { "StockAdjusted" }

  public var productID: ProductID
  public var location: Location
  /// Negative when pieces are missing.
  public var quantityChange: Int64
  public var reason: String
  public var level: StockLevel

  public init(
    productID: ProductID, location: Location, quantityChange: Int64, reason: String,
    level: StockLevel
  ) {
    self.productID = productID
    self.location = location
    self.quantityChange = quantityChange
    self.reason = reason
    self.level = level
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    location = try fields.location()
    quantityChange = try fields.integer("quantity_change")
    reason = try fields.string("reason")
    level = try StockLevel(fields: fields)
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 6) {
      $0.add("product_id", productID.value)
      $0.add("location", location.name)
      $0.add("quantity_change", quantityChange)
      $0.add("reason", reason)
      $0.add(level)
    }
  }
}

/// Free pieces went from one location to another.
public struct StockTransferred: Sendable, Hashable {
  public static var type: String { "StockTransferred" }

  public var productID: ProductID
  public var from: Location
  public var to: Location
  public var quantity: Int64
  public var level: StockLevel

  public init(
    productID: ProductID, from: Location, to: Location, quantity: Int64, level: StockLevel
  ) {
    self.productID = productID
    self.from = from
    self.to = to
    self.quantity = quantity
    self.level = level
  }

  public init(fields: Fields) throws {
    productID = try fields.productID()
    from = try fields.location("from_location")
    to = try fields.location("to_location")
    quantity = try fields.integer("quantity")
    level = try StockLevel(fields: fields)
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 6) {
      $0.add("product_id", productID.value)
      $0.add("from_location", from.name)
      $0.add("to_location", to.name)
      $0.add("quantity", quantity)
      $0.add(level)
    }
  }
}
