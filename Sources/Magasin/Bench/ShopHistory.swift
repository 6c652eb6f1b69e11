import Commerce
import EventSourcing
import Foundation

/// A made-up history of the shop, for logs to measure with: what each order's id, customer, product
/// and quantity are. The same seed makes the same history, and every order of it can be told
/// without those before it.
struct ShopHistory {
  /// What the shop and its sagas write for an order that goes well until it is confirmed, without
  /// the sagas' own events: ``OrderCourse``.
  static let eventsPerOrder = 5
  static let customers = 50_000
  static let products = 1_000
  /// Not those of the demo data, which may be in the same log.
  private static let firstCustomer: Int64 = 100_001
  private static let firstProduct: Int64 = 10_001
  /// Of each product, before the first order.
  static let openingLevel = StockLevel(available: stocked, reserved: 0)

  static let start = Timestamp(millisecondsSinceEpoch: 1_735_689_600_000)  // 2025-01-01
  /// Between two events: 200,000 orders make a year.
  static let pauseMilliseconds: Int64 = 31_536

  private static let stocked: Int64 = 1_000_000
  private static let reorderLevel: Int64 = 10
  private static let names = ["Alice", "Benoît", "Chloé", "David", "Emma", "Félix", "Grace"]
  private static let surnames = ["Tremblay", "Gagnon", "Nguyen", "Okafor", "Roy", "Singh", "Côté"]
  private static let streets = ["rue Notre-Dame", "rue Saint-Denis", "avenue du Parc"]

  let seed: UInt64

  /// An order as numbers: what does not depend on the moment at which it is placed.
  struct Draft {
    var commandID: CommandID
    /// From 0.
    var customer: Int
    /// From 0.
    var product: Int
    var quantity: Int64
    var isShipped: Bool
  }

  /// The order of a number from 0.
  func draft(_ number: Int) -> Draft {
    var chance = SeededGenerator(seed: seed &+ UInt64(number) &* 0xD1B5_4A32_D192_ED03)
    let events = Int64(number) * Int64(Self.eventsPerOrder)
    let time = Self.start.adding(milliseconds: events * Self.pauseMilliseconds)
    // Some products sell better than others.
    let popularity = Double.random(in: 0..<1, using: &chance)
    return Draft(
      commandID: CommandID(UUID.timeOrdered(at: time, using: &chance)),
      customer: Int.random(in: 0..<Self.customers, using: &chance),
      product: Int(popularity * popularity * Double(Self.products)),
      quantity: Int64.random(in: 1...3, using: &chance),
      isShipped: Int.random(in: 0..<3, using: &chance) == 0)
  }

  /// The order as the shop takes it when it is placed at `time`.
  func order(_ draft: Draft, at time: Timestamp) -> NewOrder {
    let product = Self.added(draft.product)
    return NewOrder(
      orderID: OrderID(draft.commandID), customer: Self.customer(draft.customer),
      lines: [
        NewOrder.Line(
          productID: product.productID, productName: product.name, quantity: draft.quantity,
          unitPrice: product.unitPrice)
      ],
      shippingAddress: draft.isShipped ? Self.address(of: draft.customer) : nil,
      initiatedAt: time)
  }

  /// Every product, and the pieces that come in of it.
  func opening() -> [ProposedCommit] {
    (0..<Self.products).flatMap { number in
      let product = Self.added(number)
      return [
        commit(
          ProposedEvent(
            ProductEvent.added(product), in: Products.stream(product.productID.text)),
          id: "product/\(product.productID)"),
        commit(
          ProposedEvent(
            StockEvent.restocked(
              StockRestocked(
                productID: product.productID, productName: product.name, quantity: Self.stocked,
                location: .depot, level: Self.openingLevel, reorderLevel: Self.reorderLevel)),
            in: Inventory.stream(product.productID.text)),
          id: "stock/\(product.productID)"),
      ]
    }
  }

  private func commit(_ event: ProposedEvent, id: String) -> ProposedCommit {
    ProposedCommit(
      context: CommitContext(
        commandID: CommandID(derivedFrom: "bench/\(seed)/\(id)"), timestamp: Self.start,
        serviceName: "bench"),
      events: [event], expectations: [event.stream: .noStream])
  }

  private static func added(_ number: Int) -> ProductAdded {
    let id = firstProduct + Int64(number)
    return ProductAdded(
      productID: ProductID(id), name: "Product \(id)", sku: "MAG-\(id)",
      unitPrice: Money(minorUnits: 199 + Int64(number) * 7919 % 25_000, currency: .cad))
  }

  private static func customer(_ number: Int) -> CustomerRegistered {
    let id = firstCustomer + Int64(number)
    let name = "\(names[number % names.count]) \(surnames[number / names.count % surnames.count])"
    return CustomerRegistered(
      customerID: CustomerID(id), name: name, email: "customer.\(id)@example.com")
  }

  private static func address(of number: Int) -> ShippingAddress {
    ShippingAddress(
      street: "\(1 + number % 9_000) \(streets[number % streets.count])", city: "Montréal",
      postalCode: "H2X 1Y\(number % 10)")
  }
}
