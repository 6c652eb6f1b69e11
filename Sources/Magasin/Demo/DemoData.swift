import Commerce
import EventSourcing

/// Customers, products and stock for a first try. Every command has a fixed id, so adding the demo
/// data again changes nothing, and never undoes what was changed since.
enum DemoData {
  private struct Item {
    var id: Int64
    var name: String
    var category: String
    /// Cents.
    var price: Int64
    /// Pieces in the depot and in each of the five stores.
    var depot: Int64
    var store: Int64
  }

  private static let items: [Item] = [
    Item(id: 101, name: "Laptop", category: "computers", price: 19_999, depot: 800, store: 40),
    Item(
      id: 102, name: "Wireless mouse", category: "computers", price: 2_499, depot: 500, store: 30),
    Item(
      id: 103, name: "Mechanical keyboard", category: "computers", price: 8_950, depot: 300,
      store: 20),
    Item(
      id: 104, name: "27-inch monitor", category: "computers", price: 24_900, depot: 120, store: 8),
    Item(id: 105, name: "USB-C hub", category: "computers", price: 3_995, depot: 400, store: 25),
    Item(id: 106, name: "Headphones", category: "audio", price: 12_900, depot: 250, store: 15),
    Item(
      id: 107, name: "Bluetooth speaker", category: "audio", price: 5_999, depot: 200, store: 15),
    Item(id: 108, name: "Turntable", category: "audio", price: 34_900, depot: 40, store: 2),
    Item(id: 109, name: "Coffee maker", category: "kitchen", price: 7_999, depot: 150, store: 10),
    Item(
      id: 110, name: "Electric kettle", category: "kitchen", price: 4_450, depot: 180, store: 12),
    Item(id: 111, name: "Toaster", category: "kitchen", price: 3_900, depot: 160, store: 12),
    Item(id: 112, name: "Chef's knife", category: "kitchen", price: 6_500, depot: 90, store: 6),
    Item(
      id: 113, name: "Coffee beans, 1 kg", category: "groceries", price: 1_899, depot: 600,
      store: 60),
    Item(
      id: 114, name: "Maple syrup, 540 ml", category: "groceries", price: 1_199, depot: 700,
      store: 60),
    Item(id: 115, name: "Dark chocolate", category: "groceries", price: 450, depot: 900, store: 80),
    Item(id: 116, name: "Desk lamp", category: "home", price: 4_999, depot: 130, store: 10),
    Item(id: 117, name: "Office chair", category: "home", price: 18_900, depot: 60, store: 4),
    Item(
      id: 118, name: "Notebook, A5", category: "stationery", price: 799, depot: 1_000, store: 100),
    Item(id: 119, name: "Fountain pen", category: "stationery", price: 3_250, depot: 110, store: 8),
    Item(id: 120, name: "Backpack", category: "travel", price: 8_999, depot: 140, store: 10),
  ]

  private static let customers: [(id: Int64, name: String, email: String)] = [
    (456, "Alice Tremblay", "alice.tremblay@example.com"),
    (457, "Benoît Gagnon", "benoit.gagnon@example.com"),
    (458, "Chloé Nguyen", "chloe.nguyen@example.com"),
    (459, "David Okafor", "david.okafor@example.com"),
    (460, "Emma Roy", "emma.roy@example.com"),
  ]

  /// Adds `moreProducts` without stock too, 1001 and on: a catalogue to measure with. Answers how
  /// many records were new.
  static func add(to shop: Shop, moreProducts: Int64 = 0) async throws -> Int {
    var added = 0
    func count(_ receipt: Shop.Receipt) {
      added += receipt.isRepeated || receipt.commit == nil ? 0 : 1
    }
    for customer in customers {
      count(
        try await shop.registerCustomer(
          CustomerID(customer.id), name: customer.name, email: customer.email,
          context: context("customer/\(customer.id)")))
    }
    for item in items {
      count(
        try await shop.addProduct(
          ProductAdded(
            productID: ProductID(item.id), name: item.name, sku: "MAG-\(item.id)",
            category: item.category, unitPrice: Money(minorUnits: item.price, currency: .cad)),
          context: context("product/\(item.id)")))
      let places = [(Location.depot, item.depot)] + (1...5).map { (.store($0), item.store) }
      for (location, quantity) in places {
        count(
          try await shop.restock(
            ProductID(item.id), quantity: quantity, location: location, productName: item.name,
            context: context("stock/\(item.id)/\(location)")))
      }
    }
    for id in 1001..<(1001 + moreProducts) {
      count(
        try await shop.addProduct(
          ProductAdded(
            productID: ProductID(id), name: "Product \(id)", sku: "MAG-\(id)",
            unitPrice: Money(minorUnits: 1_999, currency: .cad)),
          context: context("product/\(id)")))
    }
    return added
  }

  private static func context(_ name: String) -> CommitContext {
    CommitContext(
      commandID: CommandID(derivedFrom: "demo/\(name)"), timestamp: .now, serviceName: "demo")
  }
}
