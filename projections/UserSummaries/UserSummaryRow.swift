import Commerce
import EventSourcing

/// What one customer has ordered so far.
public struct UserSummaryRow: QueriedRow {
  public static let internalKeys: Set<String> = [
    "spent_minor_units", "product_quantities", "revenue_by_currency",
  ]
  /// How many of the products that a customer ordered most are named.
  private static let favoritesMax = 5

  /// How many pieces of one product the customer ordered, cancelled orders included.
  public struct ProductQuantity: Sendable, Equatable {
    public var productID: ProductID
    public var productName: String
    public var quantity: Int64
  }

  public var userID: CustomerID
  public var name: String
  public var email: String
  public var tally: OrderTally
  /// Nil before the first order.
  public var lastOrderAt: Timestamp?
  /// All products ever ordered, by id.
  public var quantities: [ProductQuantity]

  init(userID: CustomerID, name: String, email: String) {
    self.userID = userID
    self.name = name
    self.email = email
    tally = OrderTally()
    quantities = []
  }

  public var favorites: [ProductQuantity] {
    let order = quantities.sorted { left, right in
      (right.quantity, left.productID) < (left.quantity, right.productID)
    }
    return Array(order.prefix(Self.favoritesMax))
  }

  mutating func count(_ item: OrderItem) throws {
    if let index = quantities.firstIndex(where: { $0.productID >= item.productID }) {
      if quantities[index].productID == item.productID {
        quantities[index].productName = item.productName
        try quantities[index].quantity.add(item.quantity)
      } else {
        quantities.insert(ProductQuantity(item), at: index)
      }
    } else {
      quantities.append(ProductQuantity(item))
    }
  }
}

extension UserSummaryRow {
  public init(fields: Fields) throws {
    userID = try fields.customerID()
    name = try fields.string("user_name")
    email = try fields.string("user_email")
    var counts: Fields = [:]
    for element in try fields.objects("orders_by_status", decode: { $0 }) {
      counts[try element.string("status")] = try element.value("count")
    }
    tally = try OrderTally(
      statusCounts: counts,
      sales: try fields.objects("revenue_by_currency", decode: OrderTally.Sales.init(fields:)))
    lastOrderAt = try fields.timestampIfPresent("last_order_date")
    quantities = try fields.objects(
      "product_quantities", decode: ProductQuantity.init(fields:))
  }

  public var fields: Fields {
    let leading = tally.leading
    return [
      "user_id": userID.value,
      "user_name": .string(name),
      "user_email": .string(email),
      "total_orders": .integer(tally.total),
      "confirmed_orders": .integer(tally.confirmed),
      "total_spent": leading.revenue.value,
      "avg_order_value": leading.average.value,
      "currency": .string(leading.currency.code),
      "last_order_date": .optional(lastOrderAt),
      "favorite_products": .array(favorites.map(\.value)),
      "orders_by_status": tally.ordersByStatus,
      "spent_minor_units": .integer(leading.revenueMinorUnits),
      "product_quantities": .array(quantities.map(\.value)),
      "revenue_by_currency": tally.revenueByCurrency,
    ]
  }
}

extension UserSummaryRow.ProductQuantity {
  fileprivate init(_ item: OrderItem) {
    self.init(
      productID: item.productID, productName: item.productName, quantity: item.quantity)
  }

  fileprivate init(fields: Fields) throws {
    self.init(
      productID: try fields.productID(), productName: try fields.string("product_name"),
      quantity: try fields.integer("quantity"))
  }

  fileprivate var value: Value {
    [
      "product_id": productID.value, "product_name": .string(productName),
      "quantity": .integer(quantity),
    ]
  }
}
