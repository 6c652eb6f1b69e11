import Commerce
import EventSourcing
import EventSourcingTesting
import Sagas
import Synchronization
import Testing

/// Loses the first appends of sagas.
private final class LossyLog: ForwardingLog {
  let base: InMemoryLog
  private let losses: Mutex<Int>

  init(_ base: InMemoryLog, losses: Int) {
    self.base = base
    self.losses = Mutex(losses)
  }

  func enqueue(_ commit: ProposedCommit) -> AppendTicket {
    let isLost = losses.withLock { losses in
      guard commit.events[0].stream.category == OrderFulfilment.category, losses > 0 else {
        return false
      }
      losses -= 1
      return true
    }
    guard isLost else { return base.enqueue(commit) }
    let ticket = AppendTicket()
    ticket.settle(.failure(AppendFailure.notDone("the network is down")))
    return ticket
  }
}

@Suite("Sending, rule 1")
struct SendingTests {
  @Test("what a saga's command appends stands behind the saga's commit")
  func order() async throws {
    let rig = try await Rig()
    let order = try await rig.place()
    let placed = try #require(try await rig.events().last)
    let handler = SagaHandler<OrderFulfilment>(
      log: rig.log, dispatcher: OrderCommandDispatcher(shop: Shop(log: rig.log)))
    _ = try await handler.handle(placed)
    let after = try await rig.events().filter { $0.position > placed.position }
    #expect(after.map(\.type) == ["SagaStarted", "StockReserved"])
    #expect(after.last?.header.context.causationID == after.first?.eventID)
    #expect(try await rig.stage(of: order) == .reserving)
  }

  @Test(
    "a command whose saga's commit fails leaves no event; both come with the next attempt, once")
  func lost() async throws {
    let rig = try await Rig()
    try await rig.place()
    let placed = try #require(try await rig.events().last)
    let log = LossyLog(rig.log, losses: 1)
    let handler = SagaHandler<OrderFulfilment>(
      log: log, dispatcher: OrderCommandDispatcher(shop: Shop(log: log)))
    await #expect(throws: AppendFailure.self) { try await handler.handle(placed) }
    #expect(try await rig.events().last?.position == placed.position)
    _ = try await handler.handle(placed)
    _ = try await handler.handle(placed)
    let after = try await rig.events().filter { $0.position > placed.position }
    #expect(after.map(\.type) == ["SagaStarted", "StockReserved"])
  }

  @Test("a dispatcher that does more than append is asked when the saga's commit is durable")
  func outside() async throws {
    let rig = try await Rig()
    try await rig.place()
    let placed = try #require(try await rig.events().last)
    let dispatcher = OutsideDispatcher(log: rig.log)
    let handler = SagaHandler<OrderFulfilment>(log: rig.log, dispatcher: dispatcher)
    _ = try await handler.handle(placed)
    #expect(dispatcher.found.withLock { $0 } == ["SagaStarted"])
  }

  /// Looks at what is in the log when it is asked to send.
  private final class OutsideDispatcher: CommandDispatcher {
    let log: InMemoryLog
    let found = Mutex<[String]>([])

    init(log: InMemoryLog) { self.log = log }

    func dispatch(_ command: OutgoingCommand, causation: CommandCause) async throws {
      #expect(AppendTicket.preceding == nil)
      let saga = try await log.stream(causation.stream)
      found.withLock { $0 = saga.map(\.type) }
    }
  }
}
