import Commerce
import EventSourcing

/// A shop whose customers, payments and stock do what chance says. The same seed makes the same
/// log.
struct SimulatedShop {
  private struct Running {
    var id: OrderID
    var lines: [OrderLine]
    var total: Money
    var user: CustomerID
    var saga: OrderSaga
    var stage = 0
  }

  private static let products: ClosedRange<Int64> = 1...6
  private static let users: ClosedRange<Int64> = 1...9

  let log: InMemoryLog
  private let shop: Shop
  private let seed: UInt64
  private var chance: SeededGenerator
  private var now = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000)
  private var commands = 0
  private var running: [Running] = []
  private var placed: [OrderID] = []

  init(seed: UInt64, log: InMemoryLog) {
    self.seed = seed
    self.log = log
    shop = Shop(log: log)
    chance = SeededGenerator(seed: seed)
  }

  mutating func open() async throws {
    for user in Self.users {
      try await shop.registerCustomer(
        CustomerID(user), name: "User \(user)", email: "user\(user)@example.com",
        context: context())
    }
    for product in Self.products {
      let currency: Currency = product == 6 ? .jpy : .cad
      try await shop.addProduct(
        ProductAdded(
          productID: ProductID(product), name: "Product \(product)", sku: "P-\(product)",
          unitPrice: Money(minorUnits: product * 333, currency: currency)),
        context: context())
    }
  }

  /// One thing that somebody does.
  mutating func tick() async throws {
    now = now.adding(seconds: Int64.random(in: 1...1200, using: &chance))
    switch Int.random(in: 0..<20, using: &chance) {
    case 0..<5: try await place()
    case 5..<14: try await advance()
    case 14..<16: try await restock()
    case 16: try await changeStock()
    case 17: try await cancel()
    default: try await appendByHand()
    }
  }

  private mutating func context() -> CommitContext {
    commands += 1
    return CommitContext(
      commandID: CommandID(derivedFrom: "seed \(seed) command \(commands)"), timestamp: now,
      serviceName: "simulation")
  }

  /// For what is done for an order: marked as participants of a choreography mark it.
  private mutating func context(_ order: Running) -> CommitContext {
    var context = context()
    if order.saga == .choreographed { context.metadata["saga"] = "choreographed" }
    return context
  }

  private mutating func place() async throws {
    var lines: [OrderLine] = []
    if Int.random(in: 0..<8, using: &chance) == 0 {
      lines.append((ProductID(6), 1))
    } else {
      for _ in 0..<Int.random(in: 1...3, using: &chance) {
        let product = ProductID(Int64.random(in: 1...5, using: &chance))
        lines.append((product, Int64.random(in: 1...4, using: &chance)))
      }
    }
    let user = CustomerID(Int64.random(in: Self.users, using: &chance))
    let saga: OrderSaga = placed.count.isMultiple(of: 3) ? .choreographed : .orchestrated
    let order = try await shop.placeOrder(
      PlaceOrder(userID: user, items: lines, saga: saga), context: context())
    running.append(
      Running(id: order.orderID, lines: lines, total: order.total, user: user, saga: saga))
    placed.append(order.orderID)
    guard saga == .orchestrated else { return }
    try await log.append(
      self.saga("SagaStarted", "reserving", order.orderID, commands: [("reserve", "forward")]))
  }

  private mutating func advance() async throws {
    guard let index = running.indices.randomElement(using: &chance) else { return }
    var order = running[index]
    order.stage += 1
    var isOver = false
    switch order.stage {
    case 1:
      let receipt = try await shop.reserveStock(
        order: order.id, lines: order.lines, context: context(order))
      if receipt.commit?.events.first?.type == "StockUnavailable" {
        try await end(order, reason: "insufficient stock", code: "OUT_OF_STOCK")
        isOver = true
      }
    case 2:
      try await shop.takePayment(
        order: order.id, user: order.user, amount: order.total, method: "card",
        effectID: "\(order.id)/pay/forward/1", context: context(order))
    case 3:
      if Int.random(in: 0..<5, using: &chance) == 0 {
        try await shop.paymentFailed(
          order: order.id, code: "CARD_DECLINED", reason: "declined", possiblyCharged: false,
          context: context(order))
        try await end(order, reason: "declined", code: "CARD_DECLINED")
        isOver = true
      } else {
        try await shop.paymentSucceeded(
          order: order.id, transactionID: "t\(commands)", context: context(order))
      }
    case 4: try await shop.confirmOrder(order.id, context: context(order))
    case 5:
      try await shop.requestNotification(
        order: order.id, user: order.user, recipient: "a@example.com", subject: "Hello",
        context: context(order))
      try await shop.notificationSent(order: order.id, messageID: "m", context: context(order))
      if order.saga == .orchestrated {
        try await log.append(saga("SagaCompleted", "completed", order.id))
      }
    default:
      if Int.random(in: 0..<3, using: &chance) == 0 {
        try await end(order, reason: "changed my mind", code: "CUSTOMER_REQUEST")
      }
      isOver = true
    }
    if isOver { running.remove(at: index) } else { running[index] = order }
  }

  /// Refund, release, cancel: what there is of it.
  private mutating func end(_ order: Running, reason: String, code: String) async throws {
    let refund = try await shop.requestRefund(
      order: order.id, effectID: "\(order.id)/pay/undo/1", reason: reason, context: context(order))
    if refund.commit?.events.first?.type == PaymentRefundRequested.type {
      try await shop.paymentRefunded(order: order.id, refundID: "r", context: context(order))
    }
    try await shop.releaseStock(
      order: order.id, products: order.lines.map(\.product), reason: reason, barring: true,
      context: context(order))
    try await shop.cancelOrderFinally(
      order.id, reason: reason, code: code, context: context(order))
    guard order.saga == .orchestrated else { return }
    try await log.append(
      saga(
        "SagaCompensated", "compensated", order.id,
        finished: ("place", "undo", "succeeded"), failure: (code, reason)))
  }

  private mutating func restock() async throws {
    try await shop.restock(
      ProductID(Int64.random(in: Self.products, using: &chance)),
      quantity: Int64.random(in: 1...30, using: &chance),
      location: Location(store: Bool.random(using: &chance) ? nil : 2), context: context())
  }

  private mutating func changeStock() async throws {
    let operation = StockOperation.allCases.randomElement(using: &chance) ?? .deduct
    let order =
      Bool.random(using: &chance)
      ? placed.randomElement(using: &chance) : OrderID("by_hand_\(commands)")
    do {
      try await shop.changeStock(
        ChangeStock(
          product: ProductID(Int64.random(in: Self.products, using: &chance)),
          quantityChange: Int64.random(in: 1...3, using: &chance), operation: operation,
          orderID: operation == .restock ? nil : order),
        context: context())
    } catch is StockRejection {
      // There was not enough; that is what chance wanted.
    }
  }

  private mutating func cancel() async throws {
    guard let order = placed.randomElement(using: &chance) else { return }
    _ = try await shop.cancelOrder(order, reason: "changed my mind", context: context())
  }

  /// Events that the domain does not have, in its streams and others.
  private mutating func appendByHand() async throws {
    let event = ProposedEvent(
      stream: StreamName(category: Bool.random(using: &chance) ? "orders" : "elsewhere", id: "x"),
      type: "SomethingElse", data: ["order_id": 5])
    try await log.append(ProposedCommit(context: context(), events: [event]))
  }

  private mutating func saga(
    _ type: String, _ state: String, _ order: OrderID,
    finished: (step: String, direction: String, outcome: String)? = nil,
    commands: [(step: String, direction: String)] = [],
    failure: (code: String, reason: String)? = nil
  ) -> ProposedCommit {
    ProposedCommit(
      context: context(),
      events: [
        .saga(type, state, of: order, finished: finished, commands: commands, failure: failure)
      ])
  }
}
