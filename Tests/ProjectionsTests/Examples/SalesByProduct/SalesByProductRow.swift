import Commerce
import EventSourcing

@testable import Projections

/// What one product sold on one day: in the orders placed on that day that are confirmed and not
/// cancelled since.
struct SalesByProductRow: QueriedRow {
  static let internalKeys: Set<String> = []

  var productID: ProductID
  /// As the last sale named it.
  var productName: String
  /// `2026-01-01`, UTC.
  var date: String
  var orders: Int64 = 0
  var quantity: Int64 = 0
  /// One amount for each currency that it was sold in, by code.
  var revenue: [Money] = []
  var updatedAt: Timestamp

  init(_ item: OrderItem, on day: String, at time: Timestamp) {
    productID = item.productID
    productName = item.productName
    date = day
    updatedAt = time
  }

  static func id(of product: ProductID, on day: String) -> String { "\(product)_\(day)" }

  mutating func sell(_ item: OrderItem) throws {
    productName = item.productName
    try orders.add(1)
    try quantity.add(item.quantity)
    if let index = revenue.firstIndex(where: { $0.currency == item.lineTotal.currency }) {
      revenue[index] = try revenue[index].adding(item.lineTotal)
    } else {
      revenue.append(item.lineTotal)
      revenue.sort { $0.currency.code < $1.currency.code }
    }
  }

  /// Ignores what was never sold: a cancellation that somebody appended by hand.
  mutating func takeBack(_ item: OrderItem) throws {
    guard orders >= 1, quantity >= item.quantity,
      let index = revenue.firstIndex(where: { $0.currency == item.lineTotal.currency }),
      revenue[index].minorUnits >= item.lineTotal.minorUnits
    else { return }
    try orders.subtract(1)
    try quantity.subtract(item.quantity)
    revenue[index] = try revenue[index].subtracting(item.lineTotal)
  }
}

extension SalesByProductRow {
  init(fields: Fields) throws {
    productID = try fields.productID()
    productName = try fields.string("product_name")
    date = try fields.string("date")
    orders = try fields.integer("orders")
    quantity = try fields.integer("quantity")
    revenue = try fields.objects("revenue_by_currency") { try $0.money("revenue") }
    updatedAt = try fields.timestamp("updated_at")
  }

  var fields: Fields {
    [
      "product_id": productID.value,
      "product_name": .string(productName),
      "date": .string(date),
      "orders": .integer(orders),
      "quantity": .integer(quantity),
      "revenue_by_currency": .array(
        revenue.map { ["currency": .string($0.currency.code), "revenue": $0.value] }),
      "updated_at": .time(updatedAt),
    ]
  }
}
