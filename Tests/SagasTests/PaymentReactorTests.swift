import Commerce
import EventSourcing
import Sagas
import Synchronization
import Testing

@Suite("The payment reactor")
struct PaymentReactorTests {
  /// An order whose payment was initiated, with a deadline 60 s away.
  private struct Bench {
    let rig: Rig
    let order: OrderID
    let request: Recorded

    init(_ gateway: FakeGateway) async throws {
      rig = try await Rig(gateway: gateway)
      order = try await rig.place()
      let receipt = try await rig.shop.takePayment(
        order: order, user: Rig.customer, amount: Rig.price, method: "card", effectID: "charge-1",
        context: rig.context())
      request = try #require(receipt.commit?.events.first)
    }

    func reactor(clock: ReactorClock? = nil) -> PaymentReactor {
      PaymentReactor(
        shop: rig.shop, gateway: rig.gateway, logger: .silent, clock: clock ?? rig.time.clock)
    }

    func outcome() async throws -> Recorded {
      try #require(try await rig.log.stream(request.stream).last)
    }
  }

  @Test("the charge goes out under its effect id, and its outcome is recorded once")
  func charged() async throws {
    let bench = try await Bench(FakeGateway())
    let reactor = bench.reactor()
    #expect(reactor.key(for: bench.request) == bench.request.stream.id)
    for _ in 0..<3 { try await reactor.handle(bench.request) }
    #expect(bench.rig.gateway.ledger.charges == ["charge-1": Rig.price])
    #expect(bench.rig.gateway.ledger.chargeRequests == 1)
    let outcome = try await bench.outcome()
    #expect(outcome.type == "PaymentProcessed")
    #expect(outcome.commandID == CommandID(derivedFrom: "charge-1/charged/outcome"))
    #expect(outcome.header.context.causationID == bench.request.eventID)
  }

  @Test(
    "unresolved at the deadline is possibly charged, whatever this reactor has tried",
    arguments: [
      [], Array(repeating: FakeGateway.Act.notSent, count: 1000), [.notSent, .lost, .notSent],
    ])
  func unresolved(_ charges: [FakeGateway.Act]) async throws {
    let gateway = FakeGateway(charges: charges)
    gateway.setDead(charges.isEmpty)
    let bench = try await Bench(gateway)
    // The last of them reaches the provider, and is lost there.
    let clock = ReactorClock(
      now: { bench.rig.time.now },
      sleep: { duration in
        try await bench.rig.time.clock.sleep(duration)
        if gateway.ledger.chargeRequests == 3 { gateway.setDead(true) }
      })
    try await bench.reactor(clock: clock).handle(bench.request)
    #expect(try await bench.outcome().data["error_code"] == "PAYMENT_UNAVAILABLE")
    #expect(try await bench.outcome().data["possibly_charged"] == true)
  }

  @Test("two reactors: one gives up, the other's charge arrives, and the money goes back")
  func twoAtOnce() async throws {
    let gateway = FakeGateway()
    gateway.setDead(true)
    let bench = try await Bench(gateway)
    try await bench.reactor().handle(bench.request)
    #expect(try await bench.outcome().type == "PaymentFailed")
    gateway.setDead(false)
    let late = try await gateway.charge(
      ChargeRequest(
        effectID: "charge-1", orderID: bench.order, userID: Rig.customer, amount: Rig.price,
        paymentMethod: "card"))
    #expect(late == .charged(transactionID: "transaction of charge-1"))
    let receipt = try await bench.rig.shop.requestRefund(
      order: bench.order, effectID: "refund-1", reason: "no answer", context: bench.rig.context())
    let request = try #require(receipt.commit?.events.first)
    try await bench.reactor().handle(request)
    #expect(try await bench.outcome().type == "PaymentRefunded")
    #expect(gateway.ledger.refunds == ["refund-1": Rig.price])
  }

  @Test("a payment that an older reactor has called certainly not charged, and was, is refunded")
  func chargedAfterCertainFailure() async throws {
    let gateway = FakeGateway()
    let bench = try await Bench(gateway)
    let rig = bench.rig
    // The other one's shop has not heard of it when its charge is answered.
    let other = PaymentReactor(
      shop: Shop(log: rig.log),
      gateway: InterruptedGateway(base: gateway) {
        _ = try? await rig.shop.paymentFailed(
          order: bench.order, code: "PAYMENT_UNAVAILABLE", reason: "no answer",
          possiblyCharged: false,
          context: CommitContext(
            commandID: CommandID(derivedFrom: "charge-1/outcome"), timestamp: rig.time.now,
            serviceName: "payments"))
      }, logger: .silent, clock: rig.time.clock)
    try await other.handle(bench.request)
    let asked = try await bench.outcome()
    #expect(asked.type == "PaymentRefundRequested")
    #expect(asked.data["effect_id"] == .string("\(bench.order)/pay/undo/1"))
    try await other.handle(asked)
    #expect(try await bench.outcome().type == "PaymentRefunded")
  }

  @Test("it pauses 2 s at most between charges, and gives up at the deadline")
  func pauses() async throws {
    let gateway = FakeGateway()
    gateway.setDead(true)
    let bench = try await Bench(gateway)
    let pauses = Mutex<[Duration]>([])
    let time = bench.rig.time
    let clock = ReactorClock(
      now: { time.now },
      sleep: { duration in
        pauses.withLock { $0.append(duration) }
        try await time.clock.sleep(duration)
      })
    let start = time.now
    try await bench.reactor(clock: clock).handle(bench.request)
    let all = pauses.withLock(\.self)
    #expect(all.count > 20)
    #expect(all.allSatisfy { $0 <= .seconds(2) })
    #expect(time.now >= start.adding(seconds: 59))
    #expect(time.now <= start.adding(seconds: 62))
  }

  @Test("the provider is asked once at the deadline, and what it says counts")
  func asksAtDeadline() async throws {
    typealias Case = (
      gateway: FakeGateway, type: String, code: String?, possiblyCharged: Value?, questions: Int
    )
    let lost = Array(repeating: FakeGateway.Act.lost, count: 1000)
    let cases: [Case] = [
      (FakeGateway(charges: [.unanswered] + lost), "PaymentProcessed", nil, nil, 1),
      (
        FakeGateway(charges: [.unanswered] + lost, declining: "CARD_DECLINED"), "PaymentFailed",
        "CARD_DECLINED", false, 1
      ),
      // It may still be under way: nobody has heard of it yet.
      (FakeGateway(charges: lost), "PaymentFailed", "PAYMENT_UNAVAILABLE", true, 1),
      (
        FakeGateway(charges: [.unanswered] + lost, questions: [.lost]), "PaymentFailed",
        "PAYMENT_UNAVAILABLE", true, 1
      ),
      (
        FakeGateway(charges: [.unanswered] + lost, questions: [.notSent]), "PaymentFailed",
        "PAYMENT_UNAVAILABLE", true, 1
      ),
    ]
    for (gateway, type, code, possiblyCharged, questions) in cases {
      let rig = try await Rig(gateway: gateway)
      let reactor = PaymentReactor(
        shop: rig.shop, gateway: gateway, logger: .silent, clock: rig.time.clock)
      let order = try await rig.place()
      let receipt = try await rig.shop.takePayment(
        order: order, user: Rig.customer, amount: Rig.price, method: "card",
        effectID: "charge-1", context: rig.context())
      let request = try #require(receipt.commit?.events.first)
      try await reactor.handle(request)
      let outcome = try #require(try await rig.log.stream(request.stream).last)
      #expect(outcome.type == type)
      #expect(try outcome.data.stringIfPresent("error_code") == code)
      #expect(outcome.data["possibly_charged"] == possiblyCharged)
      #expect(gateway.ledger.questions == questions)
    }
  }

  @Test("a charge that was undone at the provider is not paid")
  func asksAfterUndo() async throws {
    let gateway = FakeGateway()
    let bench = try await Bench(gateway)
    _ = try await gateway.refund(
      effectID: "charge-1", refundEffectID: "by hand", amount: Rig.price)
    bench.rig.time.advance(milliseconds: 61_000)
    try await bench.reactor().handle(bench.request)
    #expect(try await bench.outcome().data["error_code"] == "VOIDED")
    #expect(try await bench.outcome().data["possibly_charged"] == false)
  }

  @Test("a provider that is gone is not asked")
  func asksNobody() async throws {
    let gateway = FakeGateway()
    gateway.setDead(true)
    let bench = try await Bench(gateway)
    try await bench.reactor().handle(bench.request)
    #expect(gateway.ledger.questions == 0)
  }

  @Test("a payment past its deadline is not charged any more")
  func pastDeadline() async throws {
    let bench = try await Bench(FakeGateway())
    bench.rig.time.advance(milliseconds: 61_000)
    try await bench.reactor().handle(bench.request)
    #expect(bench.rig.gateway.ledger.chargeRequests == 0)
    #expect(try await bench.outcome().type == "PaymentFailed")
  }

  @Test("an undo that was asked for meanwhile ends the attempts, and finds nothing to refund")
  func undoneMeanwhile() async throws {
    let gateway = FakeGateway(charges: Array(repeating: .lost, count: 1000))
    let bench = try await Bench(gateway)
    let (rig, order) = (bench.rig, bench.order)
    let clock = ReactorClock(
      now: { rig.time.now },
      sleep: { duration in
        try await rig.time.clock.sleep(duration)
        guard gateway.ledger.chargeRequests == 3 else { return }
        // As another process does: through a shop with a cache of its own.
        try await Shop(log: rig.log).requestRefund(
          order: order, effectID: "refund-1", reason: "cancelled", context: rig.context())
      })
    let reactor = bench.reactor(clock: clock)
    try await reactor.handle(bench.request)
    #expect(gateway.ledger.chargeRequests == 3)
    let refundRequest = try await bench.outcome()
    #expect(refundRequest.type == "PaymentRefundRequested")
    #expect(reactor.key(for: refundRequest) == reactor.key(for: bench.request))
    try await reactor.handle(refundRequest)
    #expect(try await bench.outcome().type == "PaymentVoided")
    #expect(gateway.ledger.tombstones == ["charge-1"])
  }

  @Test("a refund is pursued until the provider answers, and recorded once")
  func refunded() async throws {
    let gateway = FakeGateway(
      refunds: Array(repeating: .lost, count: 40) + [.unanswered, .notSent, .answer])
    let bench = try await Bench(gateway)
    let reactor = bench.reactor()
    try await reactor.handle(bench.request)
    let receipt = try await bench.rig.shop.requestRefund(
      order: bench.order, effectID: "refund-1", reason: "cancelled", context: bench.rig.context())
    let request = try #require(receipt.commit?.events.first)
    for _ in 0..<2 { try await reactor.handle(request) }
    #expect(gateway.ledger.refundRequests == 43)
    #expect(gateway.ledger.refunds == ["refund-1": Rig.price])
    #expect(try await bench.outcome().type == "PaymentRefunded")
  }
}

/// Something happens after each charge, before it is answered.
private struct InterruptedGateway: PaymentGateway {
  let base: FakeGateway
  let meanwhile: @Sendable () async -> Void

  func charge(_ request: ChargeRequest) async throws(PaymentGatewayError) -> ChargeOutcome {
    let outcome = try await base.charge(request)
    await meanwhile()
    return outcome
  }

  func outcome(of effectID: String) async throws(PaymentGatewayError) -> ChargeOutcome? {
    try await base.outcome(of: effectID)
  }

  func refund(
    effectID: String, refundEffectID: String, amount: Money
  ) async throws(PaymentGatewayError) -> RefundOutcome {
    try await base.refund(effectID: effectID, refundEffectID: refundEffectID, amount: amount)
  }
}
