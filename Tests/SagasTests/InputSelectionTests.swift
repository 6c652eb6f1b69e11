import Commerce
import EventSourcing
import Testing

@testable import Sagas

@Suite("Which events concern a saga")
struct InputSelectionTests {
  private static let order = Happening.order.id

  private func sagaID(
    _ type: String, _ data: Fields = [:], index: Int = 0, commandID: CommandID = .random()
  ) -> String? {
    var fields: Fields = ["order_id": .string(Self.order.text)]
    for entry in data.entries { fields[entry.key] = entry.value }
    return OrderFulfilment.sagaID(
      for: Happening.recorded(type, fields, at: 10, index: index, commandID: commandID))
  }

  private func command(
    _ step: OrderFulfilment.Step, _ direction: SagaDirection
  ) -> CommandID {
    CommandID(derivedFrom: OrderFulfilment.effectID(Self.order, step, direction))
  }

  @Test("an order is carried out only when it asks for the orchestrated saga")
  func orchestrated() {
    #expect(sagaID("OrderInitiated", ["saga": "orchestrated"]) == "saga_\(Self.order)")
    #expect(sagaID("OrderInitiated", ["saga": "choreographed"]) == nil)
    #expect(sagaID("OrderInitiated") == nil)
  }

  @Test("stock that was moved by hand for an order is none of the saga's business")
  func stockByHand() {
    #expect(sagaID("StockReserved") == nil)
    #expect(sagaID("StockUnavailable") == nil)
    #expect(sagaID("StockReleased") == nil)
    #expect(sagaID("StockDeducted") == nil)
    #expect(sagaID("StockReserved", commandID: command(.reserve, .forward)) != nil)
    #expect(sagaID("StockUnavailable", commandID: command(.reserve, .forward)) != nil)
    #expect(sagaID("StockReleased", commandID: command(.reserve, .undo)) != nil)
    #expect(sagaID("StockReleased", commandID: command(.reserve, .forward)) == nil)
  }

  @Test("an answer to a command that was sent before command ids sorted by time counts")
  func earlierIDs() {
    let order = OrderID(.random())
    for (type, direction) in [
      ("StockReserved", SagaDirection.forward), ("StockReleased", SagaDirection.undo),
    ] {
      let ids = CommandID.all(ofEffect: OrderFulfilment.effectID(order, .reserve, direction))
      #expect(Set(ids).count == 2)
      for id in ids {
        let event = Happening.recorded(
          type, ["order_id": .string(order.text)], at: 10, index: 0, commandID: id)
        #expect(OrderFulfilment.sagaID(for: event) == "saga_\(order)")
      }
    }
  }

  @Test("the first event of a reservation of several lines speaks for all")
  func severalLines() {
    let reserve = command(.reserve, .forward)
    #expect(sagaID("StockReserved", index: 0, commandID: reserve) != nil)
    #expect(sagaID("StockReserved", index: 1, commandID: reserve) == nil)
  }

  @Test("of payment requests only those by hand are news")
  func payments() {
    #expect(sagaID("PaymentInitiated") != nil)
    #expect(sagaID("PaymentInitiated", commandID: command(.pay, .forward)) == nil)
    #expect(sagaID("PaymentRefundRequested") == nil)
    #expect(sagaID("PaymentProcessed") != nil)
  }

  @Test("events named like the shop's in other streams concern no saga")
  func forged() {
    let data: Fields = ["order_id": .string(Self.order.text), "saga": "orchestrated"]
    for type in ["OrderInitiated", "OrderCancellationRequested", "PaymentProcessed"] {
      for category in ["forgeries", "inventory", "sagas"] {
        let event = Happening.recorded(type, data, at: 3, category: category)
        #expect(OrderFulfilment.sagaID(for: event) == nil)
      }
    }
  }

  @Test("events without an order, and the saga's own, concern no saga")
  func others() {
    let restocked = Happening.recorded("StockRestocked", ["product_id": 1], at: 3)
    #expect(OrderFulfilment.sagaID(for: restocked) == nil)
    #expect(sagaID("SagaStarted") == nil)
    let malformed = Happening.recorded("OrderConfirmed", ["order_id": 12], at: 3)
    #expect(OrderFulfilment.sagaID(for: malformed) == nil)
  }
}
