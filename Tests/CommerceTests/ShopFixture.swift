import Commerce
import EventSourcing
import Testing

/// A shop over a log in memory, with Ada, coffee at 1.99 CAD and donuts at 1.25 CAD.
struct ShopFixture {
  let log = InMemoryLog()
  let shop: Shop

  init() async throws {
    shop = Shop(log: log)
    let ada = Samples.ada
    try await shop.registerCustomer(
      ada.customerID, name: ada.name, email: ada.email, context: Samples.context())
    try await shop.addProduct(Samples.product(), context: Samples.context())
    try await shop.addProduct(
      Samples.product(Samples.donut, name: "Donut", price: Samples.cad(125)),
      context: Samples.context())
  }

  /// The same log seen by another process, with caches of its own.
  func anotherShop() -> Shop { Shop(log: log) }

  func place(
    _ items: [OrderLine] = [(Samples.coffee, 2)], context: CommitContext = Samples.context()
  ) async throws -> OrderPlaced {
    try await shop.placeOrder(
      PlaceOrder(userID: Samples.ada.customerID, items: items), context: context)
  }

  /// Expects the call to be refused with `rejection`, leaving the log as it was.
  func refuses<R: Error & Equatable>(
    _ rejection: R, sourceLocation: SourceLocation = #_sourceLocation,
    _ call: () async throws -> Void
  ) async throws {
    let before = try await log.head()
    await #expect(throws: rejection, sourceLocation: sourceLocation) { try await call() }
    let after = try await log.head()
    #expect(after == before, "a refusal leaves no event", sourceLocation: sourceLocation)
  }

  func events(_ category: String) async throws -> [Recorded] {
    try await log.events(matching: EventQuery(.category(category), limit: .max))
  }

  /// Folds the whole log and expects that no stock is unsound after any commit.
  func expectStockSound(sourceLocation: SourceLocation = #_sourceLocation) async throws {
    var stocks: [StreamName: Stock] = [:]
    for commit in try await log.read(after: .start, limit: .max / 2) {
      for event in commit.events where event.stream.category == Inventory.category {
        Inventory.evolve(
          &stocks[event.stream, default: Stock()], try Inventory.decode(event))
      }
      for stock in stocks.values {
        #expect(
          stock.available + stock.reserved + stock.sold == stock.received + stock.adjusted,
          sourceLocation: sourceLocation)
        #expect(
          stock.reserved >= 0 && stock.onHand.allSatisfy { $0.quantity >= 0 },
          sourceLocation: sourceLocation)
      }
    }
  }
}
