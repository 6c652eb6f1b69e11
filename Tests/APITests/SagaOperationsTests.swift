import Commerce
import EventSourcing
import Sagas
import Testing

@testable import API

@Suite("What operators do to sagas")
struct SagaOperationsTests {
  private let api: APIUnderTest
  private let sagas: SagaConductor
  private let operations: SagaOperations<OrderFulfilment>

  init() async throws {
    api = try await .seeded()
    sagas = SagaConductor(api)
    operations = SagaOperations(log: api.log) { _, _ in [] }
  }

  private func act(
    _ action: SagaAct.Action, id: String = "act 1", reason: String = "a test"
  ) -> SagaAct {
    SagaAct(id: id, action, reason: reason, by: "ann")
  }

  private func carryOut(
    _ act: SagaAct, on order: OrderID, isDryRun: Bool = false
  ) async throws -> SagaActOutcome {
    try await operations.carryOut(
      act, on: order.sagaID, context: api.context(), isDryRun: isDryRun
    ).orThrow("no such saga")
  }

  @Test("a retry is recorded once, with who and why, and sends again what the saga waits for")
  func retry() async throws {
    let order = try await sagas.chargingOrder()
    let outcome = try await carryOut(act(.retry), on: order)
    #expect(outcome.verdict == .recorded)
    #expect(outcome.events.map(\.type) == ["SagaRetried"])
    #expect(outcome.events.flatMap(\.commands).map(\.name) == ["TakePayment"])
    let stored = try await api.log.events(at: [outcome.position.orThrow("no position")])
    let event = try stored.first.orThrow("no event")
    let recorded = try event.data.object("act")
    #expect(recorded["action"] == "retry")
    #expect(recorded["reason"] == "a test")
    #expect(recorded["by"] == "ann")
    let placed = try await api.log.stream(Orders.stream(order.text))
    #expect(event.correlationID == placed.first?.correlationID)

    let head = try await api.log.head()
    let again = try await carryOut(act(.retry), on: order)
    #expect(again.position == outcome.position)
    #expect(try await api.log.head() == head)
    #expect(try await carryOut(act(.retry, id: "act 2"), on: order).position == head + 1)
  }

  @Test("a dry run says the event and its commands, or the refusal, and writes nothing")
  func dryRun() async throws {
    let order = try await sagas.chargingOrder()
    let head = try await api.log.head()
    let planned = try await carryOut(act(.forceCompensation), on: order, isDryRun: true)
    #expect(planned.verdict == .planned)
    #expect(planned.events.map(\.type) == ["SagaCompensating"])
    #expect(planned.position == nil)
    let refused = try await carryOut(act(.resume), on: order, isDryRun: true)
    #expect(refused.refusal == "it is not suspended")
    #expect(try await api.log.head() == head)
  }

  @Test("an act without a reason or a name is refused, and leaves no trace")
  func blank() async throws {
    let order = try await sagas.chargingOrder()
    let head = try await api.log.head()
    await #expect(throws: SagaActIncomplete.reasonMissing) {
      try await carryOut(act(.retry, reason: " \n"), on: order)
    }
    await #expect(throws: SagaActIncomplete.nameMissing) {
      try await operations.carryOut(
        SagaAct(id: "act", .retry, reason: "a test", by: ""), on: order.sagaID,
        context: api.context())
    }
    #expect(try await api.log.head() == head)
  }

  @Test("what does not fit is refused with the reason; a saga that is not there is nobody's")
  func refusals() async throws {
    let order = try await sagas.chargingOrder()
    let skip = try await carryOut(act(.skip), on: order)
    #expect(skip.refusal?.contains("cannot be skipped") == true)
    #expect(try await carryOut(act(.forceCompensation), on: order).refusal == nil)
    #expect(try await sagas.state(of: order).own.stage == .cancelling)
    let nobody = try await operations.carryOut(
      act(.retry), on: "saga_order_nope", context: api.context())
    #expect(nobody == nil)
  }

  @Test("a forced saga undoes what was done as soon as the payment is resolved")
  func forced() async throws {
    let order = try await sagas.chargingOrder()
    _ = try await carryOut(act(.forceCompensation, reason: "the shop is closed"), on: order)
    try await sagas.conduct()
    // Not waited for any longer: the second time it counts as possibly charged.
    let second = try await carryOut(act(.forceCompensation, id: "act 2"), on: order)
    #expect(second.events.flatMap(\.commands).map(\.name) == ["RefundPayment"])
    try await sagas.conduct()
    let state = try await sagas.state(of: order).own
    #expect(state.failure == SagaFailure(code: "OPERATOR", reason: "the shop is closed"))
    #expect(state.stage == .refunding)
  }

  @Test("a suspended saga is resumed, stops again without a mend, and goes on when it skips")
  func suspended() async throws {
    let order = try await sagas.poisonedOrder()
    #expect(try await sagas.state(of: order).suspension != nil)
    let standing = try await operations.standing(of: order.sagaID).orThrow("no saga")
    #expect(standing.suspendedAt != nil && !standing.hasEnded)
    #expect(try await carryOut(act(.retry), on: order).refusal?.contains("suspended") == true)

    let resumed = try await carryOut(act(.resume), on: order)
    #expect(resumed.events.map(\.type) == ["SagaResumed"])
    try await sagas.conduct()
    #expect(try await sagas.state(of: order).suspension != nil)

    let skipped = try await carryOut(act(.skip, id: "act 2"), on: order)
    #expect(skipped.events.map(\.type) == ["SagaInputSkipped"])
    try await sagas.conduct()
    let state = try await sagas.state(of: order)
    #expect(state.suspension == nil && state.parked.isEmpty)
    #expect(try await operations.standing(of: order.sagaID)?.hasEnded == true)
  }

  @Test("a saga that was suspended under way goes on with its timer and its inputs in order")
  func resumed() async throws {
    let order = try await sagas.chargingOrder()
    let timer = try await sagas.state(of: order).own.timer
    for type in ["OrderInitiated", "OrderConfirmed"] {
      let event = ProposedEvent(
        stream: Orders.stream(order.text), type: type,
        data: ["order_id": .string(order.text), "saga": "orchestrated"])
      try await api.log.append(ProposedCommit(context: api.context(), events: [event]))
    }
    try await sagas.conduct()
    #expect(try await sagas.state(of: order).parked.count == 2)
    let skipped = try await carryOut(act(.skip), on: order)
    #expect(skipped.events.flatMap(\.commands).map(\.name) == ["TakePayment"])
    try await sagas.conduct()
    let standing = try await operations.standing(of: order.sagaID).orThrow("no saga")
    #expect(standing.state == "charging" && standing.parked.isEmpty)
    #expect(timer != nil && standing.timer == timer)
    let stream = try await api.log.stream(OrderFulfilment.stream(order.sagaID))
    #expect(
      stream.map(\.type).suffix(4) == [
        "SagaSuspended", "SagaInputParked", "SagaInputSkipped", "SagaInputPassed",
      ])
  }

  @Test("a filter acts on those that it still means; the others refuse, and stop nobody")
  func many() async throws {
    var orders: [OrderID] = []
    for _ in 0..<4 { orders.append(try await sagas.chargingOrder()) }
    let moved = orders[1]
    _ = try await carryOut(act(.forceCompensation), on: moved)
    let ids = orders.map(\.sagaID)
    let operations = SagaOperations<OrderFulfilment>(log: api.log) { filter, limit in
      #expect(filter.state == "charging")
      return Array(ids.prefix(limit))
    }
    func many(isDryRun: Bool) async throws -> SagaActOutcomes {
      try await operations.carryOut(
        act(.retry), on: SagaFilter(state: "charging", olderThanSeconds: 0), limit: 3,
        context: api.context(), isDryRun: isDryRun)
    }
    let head = try await api.log.head()
    let planned = try await many(isDryRun: true)
    #expect((planned.accepted, planned.refused, planned.hasMore) == (2, 1, true))
    #expect(try await api.log.head() == head)
    let done = try await many(isDryRun: false)
    #expect(done.sagas.map(\.saga) == Array(ids.prefix(3)))
    #expect(done.sagas[1].refusal == "it has moved on: it is cancelling now")
    #expect(try await api.log.head() == head + 2)
    let again = try await many(isDryRun: false)
    #expect(again.position == done.position)
    #expect(try await api.log.head() == head + 2)
  }
}
