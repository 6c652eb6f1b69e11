import Commerce
import EventSourcing
import Sagas
import Synchronization
import Testing

@Suite("Payments while the provider is gone")
struct DeadProviderTests {
  private final class Count: Sendable {
    private let value = Mutex(0)

    func next() -> Int {
      value.withLock { value in
        value += 1
        return value
      }
    }
  }

  /// So many payments were asked for, all with a deadline 60 s away.
  private struct Bench {
    let gateway = FakeGateway()
    let rig: Rig
    let reactor: PaymentReactor
    var requests: [Recorded] = []

    /// - Parameter onSleep: called before each sleep of the reactor, with its number from 1.
    init(
      _ count: Int,
      onSleep: @escaping @Sendable (Int, FakeGateway, Rig) async throws -> Void = { _, _, _ in }
    ) async throws {
      gateway.setDead(true)
      let rig = try await Rig(gateway: gateway)
      self.rig = rig
      let gateway = gateway
      let sleeps = Count()
      reactor = PaymentReactor(
        shop: rig.shop, gateway: gateway, logger: .silent,
        clock: ReactorClock(
          now: { rig.time.now },
          sleep: { duration in
            try await onSleep(sleeps.next(), gateway, rig)
            try await rig.time.clock.sleep(duration)
          }))
      _ = rig.context()
      let start = rig.time.now
      for number in 0..<count {
        let context = CommitContext(
          commandID: .random(), timestamp: start, serviceName: "test")
        let receipt = try await rig.shop.takePayment(
          order: OrderID(CommandID(derivedFrom: "order \(number)")), user: Rig.customer,
          amount: Rig.price, method: "card", effectID: "charge-\(number)", context: context)
        requests += receipt.commit?.events ?? []
      }
    }

    func handle(_ requests: [Recorded]) async throws {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for request in requests { group.addTask { try await reactor.handle(request) } }
        try await group.waitForAll()
      }
    }

    func outcomes() async throws -> [Recorded] {
      try await rig.log.events(matching: EventQuery(.category(Payments.category), limit: .max))
        .filter { $0.type != PaymentInitiated.type }
    }
  }

  @Test("ten thousand wait for the price of one, and are given up in time; nobody knows of any")
  func givesUp() async throws {
    let bench = try await Bench(10_000)
    let deadline = bench.rig.time.now.adding(seconds: 60)
    try await bench.handle(bench.requests)
    #expect(bench.gateway.ledger.chargeRequests <= 64 + 5 + 33)
    #expect(bench.gateway.ledger.questions == 0)
    let outcomes = try await bench.outcomes()
    #expect(outcomes.count == 10_000)
    #expect(outcomes.allSatisfy { $0.type == "PaymentFailed" })
    #expect(outcomes.allSatisfy { $0.data["possibly_charged"] == true })
    let latest = try #require(outcomes.map(\.timestamp).max())
    #expect(latest < deadline.adding(seconds: 3))
  }

  @Test("when it comes back all are charged, once")
  func comesBack() async throws {
    let bench = try await Bench(1000) { number, gateway, _ in
      if number == 12 { gateway.setDead(false) }
    }
    try await bench.handle(bench.requests)
    #expect(bench.gateway.ledger.charges.count == 1000)
    #expect(try await bench.outcomes().allSatisfy { $0.type == "PaymentProcessed" })
    #expect(try await bench.outcomes().count == 1000)
  }

  @Test("refunds wait with the charges, for as long as it takes")
  func refunds() async throws {
    let end = Mutex<Timestamp?>(nil)
    let bench = try await Bench(100) { _, gateway, rig in
      if let end = end.withLock(\.self), rig.time.now > end { gateway.setDead(false) }
    }
    bench.gateway.setDead(false)
    try await bench.handle(bench.requests)
    bench.gateway.setDead(true)
    var undone: [Recorded] = []
    for request in bench.requests {
      let order = try request.data.orderID()
      undone +=
        try await bench.rig.shop.requestRefund(
          order: order, effectID: "\(order)/undo", reason: "no", context: bench.rig.context()
        ).commit?.events ?? []
    }
    end.withLock { $0 = bench.rig.time.now.adding(seconds: 600) }
    try await bench.handle(undone)
    #expect(bench.gateway.ledger.refundRequests <= 64 + 5 + 305 + 100)
    #expect(bench.gateway.ledger.refunds.count == 100)
  }

  @Test("what was undone while it waited is not charged when the provider is back")
  func undoneMeanwhile() async throws {
    let undone = (0..<10).map { OrderID(CommandID(derivedFrom: "order \($0)")) }
    let bench = try await Bench(20) { number, gateway, rig in
      guard number == 12 else { return }
      for order in undone {
        try await Shop(log: rig.log).requestRefund(
          order: order, effectID: "\(order)/undo", reason: "no", context: rig.context())
      }
      gateway.setDead(false)
    }
    try await bench.handle(bench.requests)
    let charged = bench.gateway.ledger.charges.count
    #expect(charged == 10)
  }
}
