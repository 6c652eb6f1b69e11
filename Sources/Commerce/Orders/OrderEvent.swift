import EventSourcing

/// What happens to an order, in `orders/<order_id>`.
public enum OrderEvent: Event, Hashable {
  case initiated(OrderInitiated)
  case cancellationRequested(OrderCancellationRequested)
  case confirmed(OrderConfirmed)
  case cancelled(OrderCancelled)

  public var type: String {
    switch self {
    case .initiated: OrderInitiated.type
    case .cancellationRequested: OrderCancellationRequested.type
    case .confirmed: OrderConfirmed.type
    case .cancelled: OrderCancelled.type
    }
  }

  public var schema: Int {
    switch self {
    case .initiated, .cancellationRequested: 1
    case .confirmed: OrderConfirmed.schema
    case .cancelled: OrderCancelled.schema
    }
  }

  public var data: Fields {
    switch self {
    case .initiated(let event): event.fields
    case .cancellationRequested(let event): event.fields
    case .confirmed(let event): event.fields
    case .cancelled(let event): event.fields
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    switch (type, schema) {
    case (OrderInitiated.type, 1): self = .initiated(try OrderInitiated(fields: data))
    case (OrderCancellationRequested.type, 1):
      self = .cancellationRequested(try OrderCancellationRequested(fields: data))
    case (OrderConfirmed.type, OrderConfirmed.schema):
      self = .confirmed(try OrderConfirmed(fields: data))
    case (OrderCancelled.type, OrderCancelled.schema):
      self = .cancelled(try OrderCancelled(fields: data))
    default: throw UnknownEvent(type: type, schema: schema)
    }
  }
}

/// The customer wants out; the saga undoes what was done.
public struct OrderCancellationRequested: Sendable, Hashable {
  public static var type: String { "OrderCancellationRequested" }

  public var orderID: OrderID
  public var userID: CustomerID
  public var reason: String

  public init(orderID: OrderID, userID: CustomerID, reason: String) {
    self.orderID = orderID
    self.userID = userID
    self.reason = reason
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    userID = try fields.customerID()
    reason = try fields.string("reason")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 3) {
      $0.add("order_id", orderID.text)
      $0.add("user_id", userID.value)
      $0.add("reason", reason)
    }
  }
}

/// The order is paid for: its lines are sold.
public struct OrderConfirmed: Sendable, Hashable {
  public static var type: String { "OrderConfirmed" }
  public static var schema: Int { 2 }
  /// Schema 1 did not name the lines: those of its events are not known, and are none here. They
  /// stand in the order's OrderInitiated.
  public static let fromSchema1 = Upcaster(type, from: 1) { data in
    var data = data
    data["items"] = []
    return data
  }

  public var orderID: OrderID
  public var userID: CustomerID
  /// What was sold, at the names and prices of the order; empty when it was not recorded.
  public var items: [OrderItem]
  public var total: Money
  public var initiatedAt: Timestamp

  public init(
    orderID: OrderID, userID: CustomerID, items: [OrderItem], total: Money, initiatedAt: Timestamp
  ) {
    self.orderID = orderID
    self.userID = userID
    self.items = items
    self.total = total
    self.initiatedAt = initiatedAt
  }

  public init(fields: Fields) throws {
    let total = try fields.money("total_amount")
    self.total = total
    orderID = try fields.orderID()
    userID = try fields.customerID()
    items = try fields.objects("items") { try OrderItem(fields: $0, currency: total.currency) }
    initiatedAt = try fields.timestamp("initiated_at")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 6) {
      $0.add("order_id", orderID.text)
      $0.add("user_id", userID.value)
      $0.add("items", .array(items.map { .object($0.fields) }))
      $0.add("total_amount", total)
      $0.add("initiated_at", initiatedAt.iso8601)
    }
  }
}

/// The end of an order: everything that was done for it has been undone.
public struct OrderCancelled: Sendable, Hashable {
  public static var type: String { "OrderCancelled" }
  public static var schema: Int { 2 }
  /// Schema 1 did not name what had been sold: it is not known, and is nothing here.
  public static let fromSchema1 = Upcaster(type, from: 1) { data in
    var data = data
    data["items"] = []
    return data
  }

  public var orderID: OrderID
  public var userID: CustomerID
  /// What had been sold and is sold no longer: the lines that the order's confirmation named, so
  /// that whoever counted them can take them back. Empty for an order that was never confirmed.
  public var items: [OrderItem]
  public var total: Money
  public var initiatedAt: Timestamp
  public var reason: String
  /// As in `OUT_OF_STOCK`, `CARD_DECLINED`, `CUSTOMER_REQUEST`.
  public var code: String
  public var wasConfirmed: Bool

  public init(
    orderID: OrderID, userID: CustomerID, items: [OrderItem], total: Money, initiatedAt: Timestamp,
    reason: String, code: String, wasConfirmed: Bool
  ) {
    self.orderID = orderID
    self.userID = userID
    self.items = items
    self.total = total
    self.initiatedAt = initiatedAt
    self.reason = reason
    self.code = code
    self.wasConfirmed = wasConfirmed
  }

  public init(fields: Fields) throws {
    let total = try fields.money("total_amount")
    self.total = total
    orderID = try fields.orderID()
    userID = try fields.customerID()
    items = try fields.objects("items") { try OrderItem(fields: $0, currency: total.currency) }
    initiatedAt = try fields.timestamp("initiated_at")
    reason = try fields.string("cancellation_reason")
    code = try fields.string("code")
    wasConfirmed = try fields.bool("was_confirmed")
  }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 9) {
      $0.add("order_id", orderID.text)
      $0.add("user_id", userID.value)
      $0.add("items", .array(items.map { .object($0.fields) }))
      $0.add("total_amount", total)
      $0.add("initiated_at", initiatedAt.iso8601)
      $0.add("cancellation_reason", reason)
      $0.add("code", code)
      $0.add("was_confirmed", wasConfirmed)
    }
  }
}
