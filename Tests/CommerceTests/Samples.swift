import Commerce
import EventSourcing
import Foundation

/// What most specifications start from.
enum Samples {
  static let now = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000)
  static let ada = CustomerRegistered(
    customerID: CustomerID(7), name: "Ada", email: "ada@example.org")
  static let coffee = ProductID(1)
  static let donut = ProductID(2)
  static let orderID = OrderID(CommandID(derivedFrom: "sample order"))
  static let otherOrderID = OrderID(CommandID(derivedFrom: "another order"))

  static func cad(_ cents: Int64) -> Money { Money(minorUnits: cents, currency: .cad) }

  static func product(
    _ id: ProductID = coffee, name: String = "Coffee", price: Money = cad(199)
  ) -> ProductAdded {
    ProductAdded(productID: id, name: name, sku: "SKU-\(id)", unitPrice: price)
  }

  static func line(
    _ id: ProductID = coffee, name: String = "Coffee", quantity: Int64 = 2,
    price: Money = cad(199)
  ) -> NewOrder.Line {
    NewOrder.Line(productID: id, productName: name, quantity: quantity, unitPrice: price)
  }

  static func newOrder(_ lines: [NewOrder.Line] = [line()]) -> NewOrder {
    NewOrder(orderID: orderID, customer: ada, lines: lines, initiatedAt: now)
  }

  /// Two coffees at 1.99.
  static let initiated = OrderInitiated(
    orderID: orderID, userID: ada.customerID, userName: ada.name, userEmail: ada.email,
    items: [
      OrderItem(
        productID: coffee, productName: "Coffee", quantity: 2, unitPrice: cad(199),
        lineTotal: cad(398))
    ], total: cad(398), paymentMethod: "card", initiatedAt: now)

  static let payment = PaymentInitiated(
    orderID: orderID, userID: ada.customerID, amount: cad(398), paymentMethod: "card",
    effectID: "\(orderID)/pay/forward/1", deadline: now.adding(seconds: 60))

  static func context(
    _ command: CommandID = .random(), at time: Timestamp = now, fingerprint: String? = nil
  ) -> CommitContext {
    CommitContext(
      commandID: command, fingerprint: fingerprint, timestamp: time, serviceName: "tests")
  }
}
