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

  private static func act(
    _ action: SagaAct.Action, _ reason: String, on order: OrderID, _ rig: Rig
  ) async throws -> SagaActOutcome {
    let operations = SagaOperations<OrderFulfilment>(log: rig.log) { _, _ in [] }
    let act = SagaAct(id: action.name, action, reason: reason, by: "ada")
    return try #require(
      try await operations.carryOut(act, on: order.sagaID, context: rig.context()))
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
      let done = try await Self.act(.skip, "made by hand", on: bad, rig)
      #expect(done.events.map(\.type) == ["SagaInputSkipped"])
      #expect(done.events.first?.data["reason"] == "made by hand")
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
      #expect(try await Self.act(.retry, "again", on: bad, rig).refusal != nil)
      #expect(try await Self.act(.resume, "mended", on: bad, rig).verdict == .recorded)
      try await rig.waitUntilQuiet(subscriptions)
      #expect(
        try await Self.types(bad, on: rig) == ["SagaSuspended", "SagaResumed", "SagaSuspended"])
    }
  }
}
