import Commerce
import EventSourcing
import Testing

@testable import Sagas

@Suite("Which events concern a participant")
struct ChoreographyKeysTests {
  private static let order = Happening.order.id

  private func takers(
    _ type: String, of category: String, by effect: (OrderFulfilment.Step, SagaDirection)? = nil,
    isMarked: Bool = true, index: Int = 0
  ) async throws -> [String] {
    let rig = try await Rig()
    let command =
      effect.map { CommandID(derivedFrom: OrderFulfilment.effectID(Self.order, $0.0, $0.1)) }
      ?? .random()
    let header = CommitHeader(
      context: CommitContext(
        commandID: command, timestamp: rig.time.now, serviceName: "test",
        metadata: isMarked ? ["saga": "choreographed"] : [:]),
      firstPosition: Position(1), eventCount: index + 1)
    let event = Recorded(
      header: header, index: index, eventID: command.uuid,
      stream: StreamName(category: category, id: Self.order.text), version: Version(1), type: type,
      schema: 1, data: ["order_id": .string(Self.order.text)])
    return Participant.allCases.filter { participant in
      let policy = participant.policy(
        log: rig.log, shop: rig.shop, dispatcher: OrderCommandDispatcher(shop: rig.shop),
        logger: .silent)
      return policy.key(for: event) == Self.order.text
    }.map(\.rawValue)
  }

  @Test("each reacts to what it has to, by the order's mark alone")
  func marked() async throws {
    #expect(try await takers("OrderInitiated", of: "orders") == ["inventory"])
    #expect(try await takers("OrderCancelled", of: "orders") == ["inventory", "payments"])
    #expect(try await takers("OrderCancellationRequested", of: "orders") == ["orders"])
    #expect(try await takers("OrderConfirmed", of: "orders") == ["orders"])
    #expect(try await takers("PaymentProcessed", of: "payments") == ["orders"])
    #expect(try await takers("PaymentFailed", of: "payments") == ["orders"])
    #expect(try await takers("PaymentRefunded", of: "payments") == [])
  }

  @Test("events of orchestrated orders concern nobody")
  func orchestrated() async throws {
    for (type, category) in [
      ("OrderInitiated", "orders"), ("OrderCancelled", "orders"), ("OrderConfirmed", "orders"),
      ("OrderCancellationRequested", "orders"), ("PaymentProcessed", "payments"),
    ] {
      #expect(try await takers(type, of: category, isMarked: false) == [])
    }
  }

  @Test("of stock only the answers to the order's own reservation count, and speak once")
  func stock() async throws {
    let reserve = (OrderFulfilment.Step.reserve, SagaDirection.forward)
    #expect(try await takers("StockReserved", of: "inventory", by: reserve) == ["payments"])
    #expect(try await takers("StockReserved", of: "inventory", by: reserve, index: 1) == [])
    #expect(try await takers("StockReserved", of: "inventory") == [])
    #expect(try await takers("StockUnavailable", of: "inventory", by: reserve) == ["orders"])
    #expect(try await takers("StockUnavailable", of: "inventory") == [])
  }

  @Test("events named like the shop's in other streams concern nobody")
  func forged() async throws {
    for type in ["OrderInitiated", "OrderCancelled", "PaymentProcessed"] {
      #expect(try await takers(type, of: "forgeries") == [])
    }
  }
}
