import Commerce
import EventSourcing

/// A product and how many pieces of it there are, where, and for whom.
public struct StockRow: QueriedRow {
  public static let internalKeys: Set<String> = []

  /// The most recent holds are named, no more than so many: a row must not grow with the orders.
  static let pendingOrdersMax = 100

  public struct Place: Sendable, Equatable {
    public var location: Location
    public var available: Int64
    public var reserved: Int64
  }

  /// Pieces held for an order: neither released nor sold yet.
  public struct PendingOrder: Sendable, Equatable {
    public var orderID: OrderID
    public var quantity: Int64
    public var reservedAt: Timestamp
  }

  public var productID: ProductID
  public var productName: String?
  /// Nil while the catalogue does not have the product.
  public var unitPrice: Money?
  public var isRetired = false
  public var level = StockLevel(available: 0, reserved: 0)
  public var sold: Int64 = 0
  /// Sorted by location.
  public var places: [Place] = []
  public var reorderLevel = Inventory.initial.reorderLevel
  public var lastRestockedAt: Timestamp?
  /// The oldest first.
  public var pendingOrders: [PendingOrder] = []
  public var updatedAt: Timestamp

  init(_ productID: ProductID, at time: Timestamp) {
    self.productID = productID
    updatedAt = time
  }

  /// Whether it is time to order more. Nobody orders a retired product again.
  public var isLow: Bool { !isRetired && level.available <= reorderLevel }

  /// Pieces held for orders that ``pendingOrders`` had no room for.
  public var unlistedPendingQuantity: Int64 {
    level.reserved &- pendingOrders.reduce(0) { $0 &+ $1.quantity }
  }

  mutating func change(
    at location: Location, available: Int64 = 0, reserved: Int64 = 0
  ) throws {
    let index: Int
    if let next = places.firstIndex(where: { $0.location >= location }) {
      index = next
    } else {
      index = places.count
    }
    if index == places.count || places[index].location != location {
      places.insert(Place(location: location, available: 0, reserved: 0), at: index)
    }
    try places[index].available.add(available)
    try places[index].reserved.add(reserved)
  }

  mutating func hold(_ quantity: Int64, for order: OrderID, at time: Timestamp) throws {
    if let index = pendingOrders.firstIndex(where: { $0.orderID == order }) {
      try pendingOrders[index].quantity.add(quantity)
      return
    }
    if pendingOrders.count == Self.pendingOrdersMax { pendingOrders.removeFirst() }
    pendingOrders.append(PendingOrder(orderID: order, quantity: quantity, reservedAt: time))
  }

  mutating func unhold(_ quantity: Int64, for order: OrderID) throws {
    guard let index = pendingOrders.firstIndex(where: { $0.orderID == order }) else { return }
    try pendingOrders[index].quantity.subtract(quantity)
    if pendingOrders[index].quantity <= 0 { pendingOrders.remove(at: index) }
  }
}

extension StockRow {
  public init(fields: Fields) throws {
    productID = try fields.productID()
    productName = try fields.stringIfPresent("product_name")
    unitPrice = try fields.decimalIfPresent("unit_price") == nil ? nil : fields.money("unit_price")
    isRetired = try fields.bool("is_retired")
    level = try StockLevel(fields: fields)
    sold = try fields.integer("sold_quantity")
    places = try fields.objects("locations") {
      Place(
        location: try $0.location(), available: try $0.integer("available"),
        reserved: try $0.integer("reserved"))
    }
    reorderLevel = try fields.integer("reorder_level")
    lastRestockedAt = try fields.timestampIfPresent("last_restocked")
    pendingOrders = try fields.objects("pending_orders") {
      PendingOrder(
        orderID: try $0.orderID(), quantity: try $0.integer("quantity"),
        reservedAt: try $0.timestamp("reserved_at"))
    }
    updatedAt = try fields.timestamp("updated_at")
  }

  public var fields: Fields {
    [
      "product_id": productID.value,
      "product_name": .optional(productName),
      "unit_price": unitPrice?.value ?? .null,
      "currency": .optional(unitPrice?.currency.code),
      "is_retired": .bool(isRetired),
      "available_quantity": .integer(level.available),
      "reserved_quantity": .integer(level.reserved),
      "total_quantity": .integer(level.available &+ level.reserved),
      "sold_quantity": .integer(sold),
      "locations": .array(places.map(\.value)),
      "reorder_level": .integer(reorderLevel),
      "low_stock_alert": .bool(isLow),
      "last_restocked": .optional(lastRestockedAt),
      "pending_orders": .array(pendingOrders.map(\.value)),
      "unlisted_pending_quantity": .integer(unlistedPendingQuantity),
      "updated_at": .time(updatedAt),
    ]
  }
}

extension StockRow.Place {
  fileprivate var value: Value {
    [
      "location": .string(location.name), "available": .integer(available),
      "reserved": .integer(reserved),
    ]
  }
}

extension StockRow.PendingOrder {
  fileprivate var value: Value {
    [
      "order_id": .string(orderID.text), "quantity": .integer(quantity),
      "reserved_at": .time(reservedAt),
    ]
  }
}
