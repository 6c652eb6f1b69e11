import Commerce
import EventSourcing
import Sagas
import Testing

/// Rule 11: poison suspends one saga at its position.
@Suite("Suspended sagas")
struct SuspensionTests {
  /// An order that no saga can read.
  private static func poison(_ rig: Rig) async throws -> OrderID {
    let order = OrderID(CommandID.random())
    try await rig.log.append(
      ProposedCommit(
        context: rig.context(),
        events: [
          ProposedEvent(
            stream: Orders.stream(order.text), type: "OrderInitiated",
            data: ["order_id": .string(order.text), "saga": "orchestrated", "items": "none"])
        ]))
    return order
  }

  private static func saga(
    _ order: OrderID, on rig: Rig
  ) async throws -> Saga<OrderFulfilment>.State {
    try await CommandHandler<Saga<OrderFulfilment>>(log: rig.log).state(of: order.sagaID).state
  }

  private static func types(_ order: OrderID, on rig: Rig) async throws -> [String] {
    try await rig.log.stream(OrderFulfilment.stream(order.sagaID)).map(\.type)
  }

  @Test("an input that cannot be read suspends its saga, loudly, and no other")
  func poisoned() async throws {
    let rig = try await Rig()
    try await rig.running { subscriptions in
      let bad = try await Self.poison(rig)
      let good = try await rig.place()
      try await rig.waitUntil(good, is: .completed)
      try await rig.waitUntilQuiet(subscriptions)
      let saga = try await Self.saga(bad, on: rig)
      #expect(saga.suspension?.reason.contains("cannot be read") == true)
      #expect(saga.parked.count == 1)
    }
  }

  @Test("later inputs wait in order, and an operator leaves the bad one out")
  func parkedAndSkipped() async throws {
    let rig = try await Rig()
    try await rig.running { subscriptions in
      let bad = try await Self.poison(rig)
      try await rig.log.append(
        ProposedCommit(
          context: rig.context(),
          events: [
            ProposedEvent(
              stream: Orders.stream(bad.text), type: "OrderCancellationRequested",
              data: ["order_id": .string(bad.text), "reason": "no"])
          ]))
      try await rig.waitUntilQuiet(subscriptions)
      #expect(try await Self.saga(bad, on: rig).parked.count == 2)
      let operators = SagaHandler<OrderFulfilment>(
        log: rig.log, dispatcher: OrderCommandDispatcher(shop: rig.shop))
      let act = SagaAct(id: "1", .skip, reason: "made by hand", by: "ada")
      let done = try await operators.carryOut(act, on: bad.sagaID, context: rig.context())
      #expect(done.map(\.type) == ["SagaInputSkipped"])
      #expect(done.first?.data["reason"] == "made by hand")
      try await rig.waitUntilQuiet(subscriptions)
      let saga = try await Self.saga(bad, on: rig)
      #expect(saga.suspension == nil)
      #expect(saga.parked.isEmpty)
      #expect(
        try await Self.types(bad, on: rig) == [
          "SagaSuspended", "SagaInputParked", "SagaInputSkipped", "SagaInputPassed",
        ])
    }
  }

  @Test("resumed without a mend, a saga is suspended again; other acts are refused meanwhile")
  func resumed() async throws {
    let rig = try await Rig()
    try await rig.running { subscriptions in
      let bad = try await Self.poison(rig)
      try await rig.waitUntilQuiet(subscriptions)
      let operators = SagaHandler<OrderFulfilment>(
        log: rig.log, dispatcher: OrderCommandDispatcher(shop: rig.shop))
      await #expect(throws: SagaRefusal.self) {
        try await operators.carryOut(
          SagaAct(id: "1", .retry, reason: "again", by: "ada"), on: bad.sagaID,
          context: rig.context())
      }
      _ = try await operators.carryOut(
        SagaAct(id: "2", .resume, reason: "mended", by: "ada"), on: bad.sagaID,
        context: rig.context())
      try await rig.waitUntilQuiet(subscriptions)
      #expect(
        try await Self.types(bad, on: rig) == ["SagaSuspended", "SagaResumed", "SagaSuspended"])
    }
  }
}
