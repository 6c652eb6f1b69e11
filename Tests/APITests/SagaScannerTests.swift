import Commerce
import EventSourcing
import Sagas
import Testing

@testable import API

@Suite("Whether anything hangs")
struct SagaScannerTests {
  private let api: APIUnderTest
  private let sagas: SagaConductor
  private let operations: SagaOperations<OrderFulfilment>

  init() async throws {
    api = try await .seeded()
    sagas = SagaConductor(api)
    operations = SagaOperations(log: api.log) { _, _ in [] }
  }

  private func scan(
    _ ids: [String], orders: [OrderID] = [], olderThan: Int64 = 600, after seconds: Int64 = 0
  ) async throws -> [SagaFinding] {
    let scanner = SagaScanner(
      log: api.log, candidates: .init(sagas: { ids }, orders: { _ in orders }),
      olderThanSeconds: olderThan)
    return try await scanner.scan(at: Timestamp.now.adding(seconds: seconds)).findings
  }

  private func act(_ action: SagaAct.Action, on order: OrderID) async throws {
    _ = try await operations.carryOut(
      SagaAct(id: "\(action)", action, reason: "a test", by: "ann"), on: order.sagaID,
      context: api.context())
  }

  @Test("a saga that waits with a timer is well until nobody has fired it for a minute")
  func timers() async throws {
    let order = try await sagas.chargingOrder()
    #expect(try await scan([order.sagaID]).isEmpty)
    #expect(try await scan([order.sagaID], after: 120).isEmpty)
    let found = try await scan([order.sagaID], after: 600)
    #expect(found.map(\.kind) == [.timerOverdue])
    #expect(found.first?.state == "charging")
    #expect(found.first?.kind.needsPerson == false)
  }

  @Test("a suspended saga is a person's task, and none any more once its input is skipped")
  func suspended() async throws {
    let order = try await sagas.poisonedOrder()
    let found = try await scan([order.sagaID])
    #expect(found.map(\.kind) == [.suspended])
    #expect(found.first?.kind.needsPerson == true)
    try await act(.skip, on: order)
    #expect(try await scan([order.sagaID], after: 10_000).isEmpty)
  }

  @Test("without a deadline, too long in a state is found; a row that is behind is no finding")
  func notMoved() async throws {
    // Of the first definition: it has no timers.
    let order = OrderID(.random())
    let command = OutgoingCommand(effectID: "e", name: "ReserveStock", payload: [:])
    try await append(
      "SagaStarted", "reserving", of: order, commands: [command],
      [
        "user_id": 1, "user_email": "a@example.org", "user_name": "A",
        "items": [["product_id": 102, "quantity": 1]],
        "total_amount": .decimal(.init(unscaled: 2500, scale: 2)),
        "currency": "CAD", "payment_method": "card",
      ])
    #expect(try await scan([order.sagaID]).isEmpty)
    let found = try await scan([order.sagaID], after: 601)
    #expect(found.map(\.kind) == [.notMoved])
    #expect(found.first?.text.contains("ReserveStock") == true)
    #expect(try await scan([order.sagaID], olderThan: 1000, after: 601).isEmpty)
    try await append("SagaCompleted", "completed", of: order)
    #expect(try await scan([order.sagaID, "saga_order_nope"], after: 601).isEmpty)
  }

  @Test("who waits for no command, no timer and no person hangs")
  func hangs() async throws {
    let order = try await sagas.chargingOrder()
    try await append("SagaCompensating", "cancelling", of: order, schema: 2)
    try await append("SagaAdvanced", "not_started", of: order, schema: 2)
    #expect(try await scan([order.sagaID]).isEmpty)
    try await append("SagaCompensating", "cancelling", of: order, schema: 2)
    #expect(try await scan([order.sagaID]).map(\.kind) == [.hangs])
  }

  @Test("an order that should have a saga and has none is found after a minute")
  func noSaga() async throws {
    func place(_ saga: OrderSaga) async throws -> OrderID {
      try await api.shop.placeOrder(
        PlaceOrder(
          userID: APIUnderTest.customer, items: [(APIUnderTest.mouse, 1)], saga: saga),
        context: api.context()
      ).orderID
    }
    let begun = try await sagas.chargingOrder()
    let choreographed = try await place(.choreographed)
    let forgotten = try await place(.orchestrated)
    let orders = [begun, choreographed, forgotten]
    #expect(try await scan([], orders: orders).isEmpty)
    let found = try await scan([], orders: orders, after: 61)
    #expect(found.map(\.kind) == [.noSaga])
    #expect(found.map(\.id) == [forgotten.text])
  }

  private func append(
    _ type: String, _ state: String, of order: OrderID, commands: [OutgoingCommand] = [],
    schema: Int = 1, _ more: Fields = [:]
  ) async throws {
    let data = Fields(
      [
        ("saga_id", .string(order.sagaID)), ("order_id", .string(order.text)),
        ("definition", "order-fulfilment.v1"), ("state", .string(state)),
        ("input", ["type": "SomeInput"]),
        ("commands", .array(commands.map { .object($0.fields) })),
      ] + more.pairs)
    try await api.log.append(
      ProposedCommit(
        context: api.context(),
        events: [
          ProposedEvent(
            stream: OrderFulfilment.stream(order.sagaID), type: type, schema: schema, data: data)
        ]))
  }
}
