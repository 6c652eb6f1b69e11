import Commerce
import EventSourcing
import EventSourcingTesting
import Sagas
import Testing

@Suite("The dispatcher of a saga's commands")
struct DispatcherTests {
  /// A log that takes nothing.
  private struct ClosedLog: ForwardingLog {
    var base: InMemoryLog

    func enqueue(_ commit: ProposedCommit) -> AppendTicket {
      let ticket = AppendTicket()
      ticket.settle(.failure(AppendFailure.notDone("closed")))
      return ticket
    }
  }

  private func command(_ name: String, _ payload: Fields) -> OutgoingCommand {
    OutgoingCommand(effectID: "\(name)-1", name: name, payload: payload)
  }

  @Test("a command's commit carries its effect's id, the cause and the correlation")
  func context() async throws {
    let rig = try await Rig()
    let order = try await rig.place()
    let cause = try #require(try await rig.events().last)
    let reserve = command(
      "ReserveStock",
      [
        "order_id": .string(order.text),
        "lines": [["product_id": 1, "quantity": 1], ["product_id": 2, "quantity": 4]],
      ])
    let dispatcher = OrderCommandDispatcher(shop: rig.shop)
    for _ in 0..<2 { try await dispatcher.dispatch(reserve, causation: CommandCause(cause)) }
    let commit = try #require(try await rig.log.commit(of: reserve.commandID))
    #expect(commit.events.map(\.type) == ["StockReserved", "StockReserved"])
    #expect(commit.header.context.causationID == cause.eventID)
    #expect(commit.header.context.correlationID == cause.correlationID)
    #expect(commit.header.context.serviceName == "sagas")
    #expect(try await rig.stock(2) == (6, 4))
  }

  @Test("what was done under the id that an effect had before ids sorted by time is done")
  func earlierIDs() async throws {
    let rig = try await Rig()
    let cause = try #require(try await rig.events().last)
    let order = OrderID(.random())
    let reserve = OutgoingCommand(
      effectID: OrderFulfilment.effectID(order, .reserve, .forward), name: "ReserveStock",
      payload: [
        "order_id": .string(order.text),
        "lines": .array([.object(["product_id": 2, "quantity": 3])]),
      ])
    let dispatcher = OrderCommandDispatcher(shop: rig.shop)
    let product = ProductID(2)
    _ = try await rig.shop.reserveStock(
      order: order, lines: [(product: product, quantity: 3)], store: nil, expiresAt: nil,
      context: CommitContext(
        commandID: CommandID(derivedFrom: reserve.effectID), timestamp: rig.time.now,
        serviceName: "sagas"))
    let stock = try await rig.stock(2)
    try await dispatcher.dispatch(reserve, causation: CommandCause(cause))
    #expect(try await rig.stock(2) == stock)
    // By hand is something else: no answer will come.
    let other = OrderID(.random())
    _ = try await rig.shop.reserveStock(
      order: other, lines: [(product: product, quantity: 1)], store: nil, expiresAt: nil,
      context: CommitContext(commandID: .random(), timestamp: rig.time.now, serviceName: "test"))
    await #expect(throws: CommandRefused.self) {
      try await dispatcher.dispatch(
        OutgoingCommand(
          effectID: OrderFulfilment.effectID(other, .reserve, .forward), name: "ReserveStock",
          payload: [
            "order_id": .string(other.text),
            "lines": .array([.object(["product_id": 2, "quantity": 1])]),
          ]), causation: CommandCause(cause))
    }
  }

  @Test("what the domain rejects is refused for good")
  func rejected() async throws {
    let rig = try await Rig()
    let cause = try #require(try await rig.events().last)
    let ghost = OrderID(CommandID(derivedFrom: "ghost"))
    let dispatcher = OrderCommandDispatcher(shop: rig.shop)
    await #expect(throws: CommandRefused.self) {
      try await dispatcher.dispatch(
        command("ConfirmOrder", ["order_id": .string(ghost.text)]), causation: CommandCause(cause))
    }
    await #expect(throws: CommandRefused.self) {
      try await dispatcher.dispatch(
        command(
          "TakePayment",
          [
            "order_id": .string(ghost.text), "user_id": 7, "amount": 0, "currency": "CAD",
            "payment_method": "card",
          ]), causation: CommandCause(cause))
    }
  }

  @Test("a command that can never be read is refused for good")
  func malformed() async throws {
    let rig = try await Rig()
    let cause = try #require(try await rig.events().last)
    let dispatcher = OrderCommandDispatcher(shop: rig.shop)
    for command in [
      command("ReserveStock", ["order_id": "order_1", "lines": "none"]),
      command("ReleaseStock", ["order_id": "order_1", "products": ["one"], "reason": ""]),
      command("ShipOrder", ["order_id": "order_1"]), command("ConfirmOrder", [:]),
    ] {
      await #expect(throws: CommandRefused.self) {
        try await dispatcher.dispatch(command, causation: CommandCause(cause))
      }
    }
  }

  @Test("a command that finds its work done says so, since no event will")
  func nothingToDo() async throws {
    let rig = try await Rig()
    let order = try await rig.place()
    let cause = try #require(try await rig.events().last)
    let dispatcher = OrderCommandDispatcher(shop: rig.shop)
    var release = command(
      "ReleaseStock", ["order_id": .string(order.text), "products": [1], "reason": "none"])
    // Undone before it was done: that leaves a tombstone, once.
    try await dispatcher.dispatch(release, causation: CommandCause(cause))
    #expect(try await rig.events().last?.type == "StockReservationBarred")
    release.effectID += "/again"
    do {
      try await dispatcher.dispatch(release, causation: CommandCause(cause))
      Issue.record("nothing was held")
    } catch let refusal as CommandRefused {
      #expect(refusal.reason == OrderFulfilment.nothingToDo)
    }
  }

  @Test("what the log could not take is to be sent again")
  func transient() async throws {
    let rig = try await Rig()
    let order = try await rig.place()
    let cause = try #require(try await rig.events().last)
    let dispatcher = OrderCommandDispatcher(shop: Shop(log: ClosedLog(base: rig.log)))
    await #expect(throws: AppendFailure.self) {
      try await dispatcher.dispatch(
        command("ConfirmOrder", ["order_id": .string(order.text)]), causation: CommandCause(cause))
    }
  }
}
