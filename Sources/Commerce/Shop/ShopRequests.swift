import EventSourcing

/// An order as a customer asks for it: no prices, no names.
public struct PlaceOrder: Sendable {
  public var userID: CustomerID
  /// 1 to 100 lines of 1 to 1,000,000 pieces; the same product may come several times.
  public var items: [OrderLine]
  /// The store that the order takes its stock from; nil: depot first, then the stores.
  public var storeID: Int64?
  public var shippingAddress: ShippingAddress?
  /// Nil: `card`.
  public var paymentMethod: String?
  /// Nil: the currency of the products.
  public var currency: String?
  /// Nil: what the shop does by default.
  public var saga: OrderSaga?

  public init(
    userID: CustomerID, items: [OrderLine], storeID: Int64? = nil,
    shippingAddress: ShippingAddress? = nil, paymentMethod: String? = nil,
    currency: String? = nil, saga: OrderSaga? = nil
  ) {
    self.userID = userID
    self.items = items
    self.storeID = storeID
    self.shippingAddress = shippingAddress
    self.paymentMethod = paymentMethod
    self.currency = currency
    self.saga = saga
  }

  /// - Throws: what is wrong with the request whatever the shop's state.
  func check() throws(FieldError) {
    guard !items.isEmpty else { throw FieldError("items", .invalid("must not be empty")) }
    guard items.count <= Orders.itemsMax else {
      throw FieldError("items", .invalid("must not have more than \(Orders.itemsMax) lines"))
    }
    for (index, item) in items.enumerated() {
      // The field's name costs more than the check.
      guard !Orders.quantityRange.contains(item.quantity) else { continue }
      try FieldError.check(
        "items[\(index)].quantity", item.quantity, in: Orders.quantityRange)
    }
    if let storeID { try FieldError.check("store_id", storeID, in: ChangeStock.storeRange) }
    if let paymentMethod {
      try FieldError.check("payment_method", paymentMethod, lengthMax: 64)
    }
    if let address = shippingAddress {
      try FieldError.check("shipping_address.street", address.street, lengthMax: 200)
      try FieldError.check("shipping_address.city", address.city, lengthMax: 100)
      try FieldError.check("shipping_address.postal_code", address.postalCode, lengthMax: 20)
    }
  }

  func requestedCurrency() throws(FieldError) -> Currency? {
    guard let currency else { return nil }
    return try (["currency": .string(currency)] as Fields).currency()
  }
}

public enum StockOperation: String, Sendable, Hashable, CaseIterable {
  case reserve, release, deduct, restock
}

/// A change of stock by hand.
public struct ChangeStock: Sendable, Hashable {
  static let storeRange: ClosedRange<Int64> = 1...2_147_483_647

  public var product: ProductID
  /// Always positive; the operation says which way it goes.
  public var quantityChange: Int64
  public var operation: StockOperation
  /// Nil: the depot for `restock`; depot first, then the stores, for `reserve` and `deduct`.
  public var storeID: Int64?
  /// Required for `reserve` and `release`; the order need not exist. With it, `deduct` takes from
  /// what the order holds.
  public var orderID: OrderID?

  public init(
    product: ProductID, quantityChange: Int64, operation: StockOperation, storeID: Int64? = nil,
    orderID: OrderID? = nil
  ) {
    self.product = product
    self.quantityChange = quantityChange
    self.operation = operation
    self.storeID = storeID
    self.orderID = orderID
  }

  func command(productName: String) throws(FieldError) -> StockCommand {
    try FieldError.check("quantity_change", quantityChange, in: Inventory.quantityRange)
    if let storeID { try FieldError.check("store_id", storeID, in: Self.storeRange) }
    switch operation {
    case .restock:
      return .restock(
        product: product, quantity: quantityChange, location: Location(store: storeID),
        productName: productName)
    case .reserve:
      return .reserve(
        order: try requiredOrder(), product: product, quantity: quantityChange, store: storeID)
    case .release:
      return .release(
        order: try requiredOrder(), quantity: quantityChange, reason: "released by hand")
    case .deduct:
      return .deduct(
        order: orderID, quantity: quantityChange, location: storeID.map { .store($0) })
    }
  }

  private func requiredOrder() throws(FieldError) -> OrderID {
    guard let orderID else { throw FieldError("order_id", .missing) }
    return orderID
  }
}
