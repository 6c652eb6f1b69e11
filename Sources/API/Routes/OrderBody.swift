import Commerce
import EventSourcing

/// The body that places an order: one product, or `items`.
struct OrderBody {
  static let fieldNames: Set<String> = [
    "user_id", "product_id", "quantity", "items", "store_id", "shipping_address",
    "payment_method", "currency", "saga",
  ]

  let order: PlaceOrder
  /// Which field a line's product came from.
  private let customerField: String
  private let hasItems: Bool

  init(_ body: Fields) throws {
    customerField = "user_id"
    hasItems = body["items"] != nil
    let lines: [OrderLine]
    if hasItems {
      for field in ["product_id", "quantity"] where body[field] != nil {
        throw FieldError(field, .invalid("does not go with items"))
      }
      lines = try body.objects("items") { line in
        try line.refuseUnknownFields(known: ["product_id", "quantity"])
        return try Self.line(line)
      }
      guard (1...Orders.itemsMax).contains(lines.count) else {
        throw FieldError("items", .invalid("must have 1 to \(Orders.itemsMax) lines"))
      }
    } else {
      lines = [try Self.line(body)]
    }
    order = PlaceOrder(
      userID: try body.customerID("user_id"), items: lines, storeID: try body.storeID(),
      shippingAddress: try body.objectIfPresent("shipping_address").map(Self.address),
      paymentMethod: try body.paymentMethodIfPresent(),
      currency: try body.stringIfPresent("currency"), saga: try Self.saga(body))
  }

  /// The body of `POST /start-saga`.
  init(startSaga body: Fields) throws {
    customerField = "customer_id"
    hasItems = false
    order = PlaceOrder(
      userID: try body.customerID("customer_id"), items: [try Self.line(body)],
      storeID: try body.storeID())
  }

  /// The shop's refusal with the field of this body that it is about.
  func problem(for rejection: ShopRejection) -> Problem {
    var problem = Problem(rejection) { _ in false }
    switch rejection {
    case .unknownProduct(let id), .retiredProduct(let id):
      if hasItems, let index = order.items.firstIndex(where: { $0.product == id }) {
        problem.field = "items[\(index)].product_id"
      }
    case .unknownCustomer: problem.field = customerField
    case .unknownOrder, .currencyMismatch, .amountMismatch, .orderNotPayable, .invalid: break
    }
    return problem
  }

  private static func line(_ fields: Fields) throws(FieldError) -> OrderLine {
    let product = try fields.productID()
    return OrderLine(
      product: product, quantity: try fields.quantity("quantity", in: Orders.quantityRange))
  }

  private static func address(_ fields: Fields) throws -> ShippingAddress {
    do {
      try fields.refuseUnknownFields(known: ["street", "city", "postal_code"])
      return try ShippingAddress(fields: fields)
    } catch let error as FieldError {
      throw error.nested(in: "shipping_address")
    }
  }

  private static func saga(_ body: Fields) throws(FieldError) -> OrderSaga? {
    guard let name = try body.stringIfPresent("saga") else { return nil }
    guard let saga = OrderSaga(rawValue: name) else {
      throw FieldError("saga", .invalid("must be orchestrated or choreographed"))
    }
    return saga
  }
}

extension Fields {
  func quantity(_ key: String, in range: ClosedRange<Int64>) throws(FieldError) -> Int64 {
    let number = try integer(key)
    guard range.contains(number) else {
      throw FieldError(
        key, .invalid("must be between \(range.lowerBound) and \(range.upperBound)"))
    }
    return number
  }

  func storeID() throws(FieldError) -> Int64? {
    try integerIfPresent("store_id") == nil
      ? nil : try quantity("store_id", in: 1...2_147_483_647)
  }

  func paymentMethodIfPresent() throws(FieldError) -> String? {
    guard let method = try stringIfPresent("payment_method") else { return nil }
    guard StreamName.isLegal(method) else {
      throw FieldError("payment_method", .invalid(illegalIdentifier))
    }
    return method
  }

  /// An order's id as a caller writes it, with or without `order_`.
  func givenOrderID(_ key: String = "order_id") throws(FieldError) -> OrderID {
    guard let id = OrderID(try string(key)) else {
      throw FieldError(key, .invalid("must be an order id"))
    }
    return id
  }
}
