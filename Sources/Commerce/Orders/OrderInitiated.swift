import EventSourcing

/// An order with the names and prices of the moment that it was placed at.
public struct OrderInitiated: Sendable, Hashable {
  public static var type: String { "OrderInitiated" }

  public var orderID: OrderID
  public var userID: CustomerID
  public var userName: String
  public var userEmail: String
  public var items: [OrderItem]
  public var total: Money
  public var paymentMethod: String
  /// Who carries the order out: the raw value of an ``OrderSaga``.
  public var saga: String
  public var storeID: Int64?
  public var shippingAddress: ShippingAddress?
  /// The event's own time, in its data so that later events of the order can name it.
  public var initiatedAt: Timestamp

  public init(
    orderID: OrderID, userID: CustomerID, userName: String, userEmail: String,
    items: [OrderItem], total: Money, paymentMethod: String, saga: String = "orchestrated",
    storeID: Int64? = nil, shippingAddress: ShippingAddress? = nil, initiatedAt: Timestamp
  ) {
    self.orderID = orderID
    self.userID = userID
    self.userName = userName
    self.userEmail = userEmail
    self.items = items
    self.total = total
    self.paymentMethod = paymentMethod
    self.saga = saga
    self.storeID = storeID
    self.shippingAddress = shippingAddress
    self.initiatedAt = initiatedAt
  }

  public init(fields: Fields) throws {
    let total = try fields.money("total_amount")
    self.total = total
    orderID = try fields.orderID()
    userID = try fields.customerID()
    userName = try fields.string("user_name")
    userEmail = try fields.string("user_email")
    items = try fields.objects("items") { try OrderItem(fields: $0, currency: total.currency) }
    paymentMethod = try fields.string("payment_method")
    saga = try fields.string("saga")
    storeID = try fields.integerIfPresent("store_id")
    shippingAddress = try fields.objectIfPresent("shipping_address").map {
      try ShippingAddress(fields: $0)
    }
    initiatedAt = try fields.timestamp("initiated_at")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 12) {
      $0.add("order_id", orderID.text)
      $0.add("user_id", userID.value)
      $0.add("user_name", userName)
      $0.add("user_email", userEmail)
      $0.add("items", .array(items.map { .object($0.fields) }))
      $0.add("total_amount", total)
      $0.add("payment_method", paymentMethod)
      $0.add("saga", saga)
      $0.add("store_id", storeID)
      if let shippingAddress { $0.add("shipping_address", .object(shippingAddress.fields)) }
      $0.add("initiated_at", initiatedAt.iso8601)
    }
  }
}

public struct OrderItem: Sendable, Hashable {
  public var productID: ProductID
  public var productName: String
  public var quantity: Int64
  public var unitPrice: Money
  public var lineTotal: Money

  public init(
    productID: ProductID, productName: String, quantity: Int64, unitPrice: Money, lineTotal: Money
  ) {
    self.productID = productID
    self.productName = productName
    self.quantity = quantity
    self.unitPrice = unitPrice
    self.lineTotal = lineTotal
  }

  /// Items name no currency of their own: it is the order's.
  public init(fields: Fields, currency: Currency) throws {
    productID = try fields.productID()
    productName = try fields.string("product_name")
    quantity = try fields.integer("quantity")
    unitPrice = try fields.money("unit_price", in: currency)
    lineTotal = try fields.money("line_total", in: currency)
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 5) {
      $0.add("product_id", productID.value)
      $0.add("product_name", productName)
      $0.add("quantity", quantity)
      $0.add("unit_price", unitPrice.value)
      $0.add("line_total", lineTotal.value)
    }
  }
}

public struct ShippingAddress: Sendable, Hashable {
  public var street: String
  public var city: String
  public var postalCode: String

  public init(street: String, city: String, postalCode: String) {
    self.street = street
    self.city = city
    self.postalCode = postalCode
  }

  public init(fields: Fields) throws {
    street = try fields.string("street")
    city = try fields.string("city")
    postalCode = try fields.string("postal_code")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 3) {
      $0.add("street", street)
      $0.add("city", city)
      $0.add("postal_code", postalCode)
    }
  }
}
