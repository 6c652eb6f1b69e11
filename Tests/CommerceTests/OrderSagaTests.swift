import Commerce
import EventSourcing
import Testing

@Suite("Who carries an order out")
struct OrderSagaTests {
  private let ada = Samples.ada.customerID

  private func place(_ shop: Shop, _ saga: OrderSaga?) async throws -> OrderID {
    try await shop.placeOrder(
      PlaceOrder(userID: ada, items: [(Samples.coffee, 2)], saga: saga),
      context: Samples.context()
    ).orderID
  }

  private func initiated(_ order: OrderID, _ fixture: ShopFixture) async throws -> Recorded {
    try #require(try await fixture.log.stream(Orders.stream(order.text)).first)
  }

  @Test("is what the order says, else what the shop does by default")
  func chosen() async throws {
    let fixture = try await ShopFixture()
    let other = Shop(log: fixture.log, defaultSaga: .choreographed)
    for (shop, asked, expected) in [
      (fixture.shop, nil, OrderSaga.orchestrated), (fixture.shop, .choreographed, .choreographed),
      (other, nil, .choreographed), (other, .orchestrated, .orchestrated),
    ] as [(Shop, OrderSaga?, OrderSaga)] {
      let event = try await initiated(try await place(shop, asked), fixture)
      #expect(event.data["saga"] == .string(expected.rawValue))
      #expect(event.isChoreographed == (expected == .choreographed))
    }
  }

  @Test("marks what is done by hand for a choreographed order too")
  func byHand() async throws {
    let fixture = try await ShopFixture()
    for saga in OrderSaga.allCases {
      let order = try await place(fixture.shop, saga)
      let total = try await initiated(order, fixture).data.money("total_amount")
      _ = try await fixture.anotherShop().payOrder(
        order, amount: total.amount, paymentMethod: "cash", context: Samples.context())
      _ = try await fixture.anotherShop().cancelOrder(
        order, reason: "no more", context: Samples.context())
      let paid = try await fixture.log.stream(Payments.stream(order.paymentID.text))
      let asked = try await fixture.log.stream(Orders.stream(order.text))
      #expect((paid + asked).map(\.type).count == 3)
      for event in paid + asked {
        #expect(event.isChoreographed == (saga == .choreographed), "\(event.type)")
      }
    }
  }
}
