import Commerce
import EventSourcing
import Sagas
import Synchronization
import Testing

/// In a choreography the order is cancelled first, and refund and release come after: that a
/// cancelled order holds no stock and no money is checked at the end of each run, not at every
/// prefix of the log as with a saga (``LogInvariants``).
@Suite("Faults of choreographed orders")
struct ChoreographyFaultTests {
  struct Crash: Error {}

  /// Three that succeed, one that is out of stock, one that the customer cancels.
  private static func placeMixture(on rig: Rig) async throws -> [OrderID] {
    var orders: [OrderID] = []
    for _ in 0..<3 { orders.append(try await rig.place([(ProductID(1), 1), (ProductID(2), 1)])) }
    orders.append(try await rig.place([(ProductID(1), 1), (ProductID(3), 1000)]))
    let cancelled = try await rig.place([(ProductID(2), 2)])
    _ = try await rig.shop.cancelOrder(cancelled, reason: "no more", context: rig.context())
    return orders + [cancelled]
  }

  private static func expectAsUsual(_ orders: [OrderID], on rig: Rig) async throws {
    try LogInvariants.check(try await rig.events())
    for order in orders[..<3] { #expect(try await rig.status(of: order) == .confirmed) }
    for order in orders[3...] { #expect(try await rig.status(of: order) == .cancelled) }
    #expect(try await rig.stock(1) == (7, 3))
    #expect(try await rig.stock(2) == (7, 3))
    #expect(try await rig.stock(3) == (10, 0))
    let ledger = rig.gateway.ledger
    #expect(ledger.charges.count - ledger.refunds.count == 3)
    let sent = try await rig.events().filter { $0.type == "NotificationSent" }
    #expect(sent.count == 3)
  }

  @Test("every event delivered twice")
  func duplicates() async throws {
    var rig = try await Rig.choreographed()
    rig.deliveries = 2
    try await rig.running { [rig] subscriptions in
      let orders = try await Self.placeMixture(on: rig)
      try await rig.waitUntilQuiet(subscriptions)
      try await Self.expectAsUsual(orders, on: rig)
    }
  }

  @Test("a finished log handled again from its start stays as it is")
  func restartFromStart() async throws {
    let gateway = FakeGateway(charges: [.lost, .unanswered])
    let rig = try await Rig.choreographed(gateway: gateway)
    try await rig.running { subscriptions in
      let orders = try await Self.placeMixture(on: rig)
      try await rig.waitUntilQuiet(subscriptions)
      _ = try await rig.shop.cancelOrder(orders[0], reason: "late", context: rig.context())
      try await rig.waitUntilQuiet(subscriptions)
    }
    let head = try await rig.log.head()
    let ledger = gateway.ledger
    try await rig.running { try await rig.waitUntilQuiet($0) }
    #expect(try await rig.log.head() == head)
    #expect(gateway.ledger == ledger)
  }

  @Test("each command fails once before it is sent and once after it was")
  func dispatchFails() async throws {
    let failed = Mutex<Set<String>>([])
    var rig = try await Rig.choreographed()
    rig.beforeDispatch = { command in
      if failed.withLock({ $0.insert("before \(command.effectID)").inserted }) { throw Crash() }
    }
    rig.afterDispatch = { command in
      if failed.withLock({ $0.insert("after \(command.effectID)").inserted }) { throw Crash() }
    }
    try await rig.running { [rig] subscriptions in
      let orders = try await Self.placeMixture(on: rig)
      try await rig.waitUntilQuiet(subscriptions)
      try await Self.expectAsUsual(orders, on: rig)
    }
  }

  @Test("everything killed and started again after each new event")
  func killedAfterEachEvent() async throws {
    let rig = try await Rig.choreographed(gateway: FakeGateway(charges: [.unanswered, .notSent]))
    let checkpoints = InMemoryReadModels()
    let orders = try await Self.placeMixture(on: rig)
    var starts = 0
    var isQuiet = false
    while !isQuiet {
      starts += 1
      let before = try await rig.log.head()
      isQuiet = try await rig.running(checkpoints: checkpoints) { subscriptions in
        var isQuiet = false
        while !isQuiet {
          let head = try await rig.log.head()
          if head > before { return false }
          isQuiet = subscriptions.allSatisfy { $0.progress.checkpoint == head }
          try await Task.sleep(for: .milliseconds(1))
        }
        return true
      }
    }
    #expect(starts > 3)
    try await Self.expectAsUsual(orders, on: rig)
  }

  @Test("two of every worker at once do what one does")
  func twoOfEach() async throws {
    let rig = try await Rig.choreographed()
    try await rig.running { first in
      try await rig.running { second in
        let orders = try await Self.placeMixture(on: rig)
        try await rig.waitUntilQuiet(first + second)
        try await Self.expectAsUsual(orders, on: rig)
      }
    }
  }

  @Test(
    "without a participant orders stop where it is missed, and go on when it is back",
    arguments: [
      (Participant.inventory, "OrderInitiated"), (.payments, "StockReserved"),
      (.orders, "PaymentProcessed"),
    ])
  func missingParticipant(_ participant: Participant, last: String) async throws {
    var rig = try await Rig.choreographed()
    rig.participants.remove(participant)
    let checkpoints = InMemoryReadModels()
    let order = try await rig.running(checkpoints: checkpoints) { [rig] subscriptions in
      let order = try await rig.place()
      try await rig.waitUntilQuiet(subscriptions)
      return order
    }
    #expect(try await rig.history(of: order).last == last)
    rig.participants.insert(participant)
    try await rig.running(checkpoints: checkpoints) { [rig] in try await rig.waitUntilQuiet($0) }
    #expect(try await rig.history(of: order) == ChoreographyTests.happy)
  }
}
