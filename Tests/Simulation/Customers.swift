import Commerce
import EventSourcing

/// Those who use the shop: they order, pay by hand and change their minds, and repeat what was not
/// answered.
struct Customers: Sendable {
  let world: World

  static let customer = CustomerID(7)

  private var chance: Chance { world.chance }

  /// A customer, products and their first stock.
  func setUp() async throws {
    let shop = Shop(log: world.log)
    try await shop.registerCustomer(
      Self.customer, name: "Ada", email: "ada@example.com", context: context("register"))
    for number in 1...world.plan.products {
      let product = ProductID(Int64(number))
      try await shop.addProduct(
        ProductAdded(
          productID: product, name: "Product \(number)", sku: "sku-\(number)",
          unitPrice: Money(minorUnits: 1_999, currency: .cad)), context: context("add \(number)"))
      let quantity = chance.one(of: world.plan.isSlow ? [3, 6] : [1, 6, 20, 50])
      try await shop.restock(product, quantity: Int64(quantity), context: context("fill \(number)"))
      if chance.happens(200) {
        try await shop.restock(
          product, quantity: 2, location: .store(3), context: context("fill store \(number)"))
      }
    }
  }

  /// Returns when nobody wants anything any more.
  func run() async {
    await withTaskGroup(of: Void.self) { group in
      for number in 1...world.plan.orders {
        let begin: Duration =
          world.plan.isSlow
          ? .seconds(chance.number(in: 0...1500)) : chance.duration(upTo: .seconds(10))
        group.addTask {
          try? await Task.sleep(for: begin)
          await order(number)
        }
      }
      group.addTask { await moveStock() }
    }
  }

  private func order(_ number: Int) async {
    let lines = (1...chance.number(in: 1...3)).map { _ in
      (
        product: ProductID(Int64(chance.number(in: 1...world.plan.products))),
        quantity: Int64(chance.number(in: 1...3))
      )
    }
    let saga = chance.happens(world.plan.choreographed) ? OrderSaga.choreographed : .orchestrated
    let context = context("order \(number)")
    let request = PlaceOrder(
      userID: Self.customer, items: lines, storeID: chance.happens(100) ? 3 : nil, saga: saga)
    let id = OrderID(context.commandID)
    world.expect(id, saga)
    await insist("order \(number)") { try await $0.placeOrder(request, context: context) }
    await withTaskGroup(of: Void.self) { group in
      if chance.happens(world.plan.cancelled) {
        let times = chance.one(of: [1, 1, 2])
        for time in 1...times { group.addTask { await cancel(id, "cancel \(number) \(time)") } }
      }
      if chance.happens(world.plan.paidByHand) {
        group.addTask { await pay(id, "pay \(number)") }
      }
      if world.plan.operatorActs > 0, saga == .orchestrated {
        let acts = chance.number(in: 0...world.plan.operatorActs)
        for time in 0..<acts { group.addTask { await act(on: id, "act \(number) \(time)") } }
      }
    }
  }

  private func cancel(_ id: OrderID, _ name: String) async {
    try? await Task.sleep(for: chance.duration(upTo: .seconds(120)))
    let context = context(name)
    await insist(name) {
      try await $0.cancelOrder(id, reason: "changed my mind", context: context)
    }
  }

  private func pay(_ id: OrderID, _ name: String) async {
    try? await Task.sleep(for: chance.duration(upTo: .seconds(20)))
    guard let total = world.total(of: id) else { return }
    let context = context(name)
    await insist(name) {
      try await $0.payOrder(id, amount: total.amount, paymentMethod: "card", context: context)
    }
  }

  private func act(on id: OrderID, _ name: String) async {
    try? await Task.sleep(for: chance.duration(upTo: .seconds(120)))
    guard let process = world.anyProcess() else { return }
    await process.act(chance.one(of: [.retry, .forceCompensation]), on: id.sagaID, id: name)
  }

  private func moveStock() async {
    for number in 0..<chance.number(in: 0...2) {
      try? await Task.sleep(for: chance.duration(upTo: .seconds(30)))
      let change = ChangeStock(
        product: ProductID(Int64(chance.number(in: 1...world.plan.products))),
        quantityChange: Int64(chance.number(in: 1...3)),
        operation: chance.one(of: [.restock, .restock, .deduct]))
      let context = context("stock \(number)")
      await insist("stock \(number)") { try await $0.changeStock(change, context: context) }
    }
  }

  /// Sends a command until the shop has answered it, whichever process is there.
  private func insist(
    _ name: String, _ command: @Sendable (Shop) async throws -> some Any
  ) async {
    while true {
      guard let process = world.anyProcess(), let shop = process.shop else {
        try? await Task.sleep(for: .seconds(1))
        continue
      }
      do {
        _ = try await command(shop)
        guard process.isAlive else { continue }
        return
      } catch {
        if process.isAlive, Self.isAnswer(error) {
          world.tell("\(name): refused: \(error)")
          return
        }
        world.tell("\(name): no answer: \(error)")
        try? await Task.sleep(for: chance.duration(upTo: .seconds(5)))
      }
    }
  }

  private static func isAnswer(_ error: any Error) -> Bool {
    error is ShopRejection || error is OrderRejection || error is StockRejection
      || error is PaymentRejection
  }

  private func context(_ name: String) -> CommitContext {
    CommitContext(
      commandID: CommandID(derivedFrom: "\(world.plan.seed) \(name)"), timestamp: .now,
      serviceName: "commands")
  }
}
