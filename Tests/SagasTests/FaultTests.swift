import Commerce
import EventSourcing
import Sagas
import Synchronization
import Testing

@Suite("Faults")
struct FaultTests {
  struct Crash: Error {}

  /// Orders that end in every way; the ids of those that are to end.
  private static func placeMixture(on rig: Rig) async throws -> [OrderID] {
    var orders: [OrderID] = []
    for _ in 0..<3 { orders.append(try await rig.place([(ProductID(1), 1), (ProductID(2), 1)])) }
    orders.append(try await rig.place([(ProductID(1), 1), (ProductID(3), 1000)]))
    let cancelled = try await rig.place([(ProductID(2), 2)])
    _ = try await rig.shop.cancelOrder(cancelled, reason: "no more", context: rig.context())
    return orders + [cancelled]
  }

  private static func haveEnded(_ orders: [OrderID], on rig: Rig) async throws -> Bool {
    for order in orders where try await rig.stage(of: order)?.isTerminal != true { return false }
    return true
  }

  private static func expectAsUsual(_ orders: [OrderID], on rig: Rig) async throws {
    try LogInvariants.check(try await rig.events())
    for order in orders[..<3] { #expect(try await rig.stage(of: order) == .completed) }
    for order in orders[3...] { #expect(try await rig.stage(of: order) == .compensated) }
    #expect(try await rig.stock(1) == (7, 3))
    #expect(try await rig.stock(2) == (7, 3))
    #expect(try await rig.stock(3) == (10, 0))
    let ledger = rig.gateway.ledger
    #expect(ledger.charges.count - ledger.refunds.count == 3)
  }

  private static func types(_ rig: Rig) async throws -> [String] {
    try await rig.events().map(\.type).sorted()
  }

  @Test("every event delivered twice: the log is the same as when delivered once")
  func duplicates() async throws {
    var logs: [[String]] = []
    for deliveries in 1...2 {
      var rig = try await Rig()
      rig.deliveries = deliveries
      try await rig.running { [rig] subscriptions in
        let orders = try await Self.placeMixture(on: rig)
        try await poll("all have ended") { try await Self.haveEnded(orders, on: rig) }
        try await rig.waitUntilQuiet(subscriptions)
        try await Self.expectAsUsual(orders, on: rig)
      }
      logs.append(try await Self.types(rig))
    }
    #expect(logs[0] == logs[1])
  }

  @Test("a finished log handled again from its start stays as it is")
  func restartFromStart() async throws {
    let gateway = FakeGateway(charges: [.lost, .unanswered])
    let rig = try await Rig(gateway: gateway)
    let orders = try await rig.running { subscriptions in
      let orders = try await Self.placeMixture(on: rig)
      try await poll("all have ended") { try await Self.haveEnded(orders, on: rig) }
      _ = try await rig.shop.cancelOrder(orders[0], reason: "late", context: rig.context())
      try await rig.waitUntil(orders[0], is: .compensated)
      try await rig.waitUntilQuiet(subscriptions)
      return orders
    }
    let head = try await rig.log.head()
    let ledger = gateway.ledger
    try await rig.running { subscriptions in try await rig.waitUntilQuiet(subscriptions) }
    #expect(try await rig.log.head() == head)
    #expect(gateway.ledger == ledger)
    #expect(try await Self.haveEnded(orders, on: rig))
  }

  @Test("rule 3: each command fails once before it is sent and once after it was")
  func dispatchFails() async throws {
    let failed = Mutex<Set<String>>([])
    var rig = try await Rig()
    rig.beforeDispatch = { command in
      if failed.withLock({ $0.insert("before \(command.effectID)").inserted }) { throw Crash() }
    }
    rig.afterDispatch = { command in
      if failed.withLock({ $0.insert("after \(command.effectID)").inserted }) { throw Crash() }
    }
    try await rig.running { [rig] _ in
      let orders = try await Self.placeMixture(on: rig)
      try await poll("all have ended") { try await Self.haveEnded(orders, on: rig) }
      try await Self.expectAsUsual(orders, on: rig)
    }
  }

  @Test("rule 3: everything killed and started again after each new event")
  func killedAfterEachEvent() async throws {
    let rig = try await Rig(gateway: FakeGateway(charges: [.unanswered, .notSent]))
    let checkpoints = InMemoryReadModels()
    let orders = try await Self.placeMixture(on: rig)
    var starts = 0
    while try await !Self.haveEnded(orders, on: rig) {
      starts += 1
      let head = try await rig.log.head()
      try await rig.running(checkpoints: checkpoints) { _ in
        try await poll("something happens") {
          if try await rig.log.head() > head { return true }
          return try await Self.haveEnded(orders, on: rig)
        }
      }
    }
    #expect(starts > 3)
    try await Self.expectAsUsual(orders, on: rig)
  }

  @Test("two of every worker at once do what one does")
  func twoOfEach() async throws {
    let rig = try await Rig()
    try await rig.running { first in
      try await rig.running { second in
        let orders = try await Self.placeMixture(on: rig)
        try await poll("all have ended") { try await Self.haveEnded(orders, on: rig) }
        try await rig.waitUntilQuiet(first + second)
        try await Self.expectAsUsual(orders, on: rig)
      }
    }
  }

  // MARK: Refused undos

  @Test("rule 7: an undo that is refused at first is tried until it is accepted")
  func refusedThenAccepted() async throws {
    let refusals = Mutex(0)
    var rig = try await Rig(gateway: FakeGateway(declining: "CARD_DECLINED"))
    rig.beforeDispatch = { command in
      guard command.name == "ReleaseStock" else { return }
      let count = refusals.withLock { count in
        count += 1
        return count
      }
      if count <= 4 { throw CommandRefused(reason: "the stock is being counted") }
    }
    try await rig.running { [rig] _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .compensated, secondsPassing: 10)
      let saga = try await rig.log.stream(OrderFulfilment.stream(order.sagaID))
      #expect(saga.map(\.type).contains("SagaCompensationBlocked"))
      #expect(try await rig.stock(1) == (10, 0))
    }
  }

  @Test("rule 7: a blocked undo that somebody did by hand ends the compensation")
  func refusedThenDoneByHand() async throws {
    let isRefused = Mutex(false)
    var rig = try await Rig(gateway: FakeGateway(declining: "CARD_DECLINED"))
    let front = rig
    rig.beforeDispatch = { command in
      guard command.name == "ReleaseStock" else { return }
      let isFirst = isRefused.withLock { isRefused in
        defer { isRefused = true }
        return !isRefused
      }
      guard isFirst else { return }
      let order = try #require(OrderID(command.payload.string("order_id")))
      try await front.shop.releaseStock(
        order: order, products: [ProductID(1)], reason: "by hand", context: front.context())
      throw CommandRefused(reason: "the stock is being counted")
    }
    try await rig.running { [rig] _ in
      let order = try await rig.place()
      try await rig.waitUntil(order, is: .compensated, secondsPassing: 10)
      #expect(try await rig.stock(1) == (10, 0))
    }
  }
}
