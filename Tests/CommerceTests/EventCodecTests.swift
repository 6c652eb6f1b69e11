import Commerce
import EventSourcing
import Testing

@Suite struct EventCodecTests {
  private func json(_ event: some Event) -> String {
    JSONWriter.text(.object(event.data))
  }

  @Test("OrderInitiated is written with the names and numbers that people read")
  func orderInitiated() throws {
    var order = Samples.initiated
    order.storeID = 2
    order.shippingAddress = ShippingAddress(street: "1 Main", city: "Laval", postalCode: "H7A")
    let id = order.orderID
    #expect(
      json(OrderEvent.initiated(order)) == """
        {"order_id":"\(id)","user_id":7,"user_name":"Ada","user_email":"ada@example.org",\
        "items":[{"product_id":1,"product_name":"Coffee","quantity":2,"unit_price":1.99,\
        "line_total":3.98}],"total_amount":3.98,"currency":"CAD","payment_method":"card",\
        "saga":"orchestrated","store_id":2,"shipping_address":{"street":"1 Main",\
        "city":"Laval","postal_code":"H7A"},"initiated_at":"2026-01-01T00:00:00.000Z"}
        """)
  }

  @Test("StockReserved and PaymentInitiated name the reservation and the payment")
  func derivedIDs() throws {
    let order = Samples.orderID
    let reserved = StockEvent.reserved(
      StockReserved(
        productID: Samples.coffee, orderID: order, quantity: 2,
        allocations: [Allocation(.depot, 2)], level: StockLevel(available: 8, reserved: 2)))
    #expect(
      json(reserved) == """
        {"product_id":1,"order_id":"\(order)","reservation_id":"reservation_\(order.key)",\
        "quantity":2,"allocations":[{"location":"depot","quantity":2}],\
        "available_quantity":8,"reserved_quantity":2}
        """)
    #expect(
      json(PaymentEvent.initiated(Samples.payment)) == """
        {"payment_id":"payment_\(order.key)","order_id":"\(order)","user_id":7,"amount":3.98,\
        "currency":"CAD","payment_method":"card","effect_id":"\(order)/pay/forward/1",\
        "deadline":"2026-01-01T00:01:00.000Z"}
        """)
  }

  @Test("an event that went through JSON is the same event")
  func survivesJSON() throws {
    let event = OrderEvent.initiated(Samples.initiated)
    guard case .object(let data) = try JSONReader.value(from: json(event)) else {
      Issue.record("not an object")
      return
    }
    #expect(try OrderEvent(type: event.type, schema: 1, data: data) == event)
  }

  @Test("an amount in yen went through JSON as an integer and is the same amount")
  func yenSurvivesJSON() throws {
    let event = ProductEvent.added(
      Samples.product(price: Money(minorUnits: 1200, currency: .jpy)))
    guard case .object(let data) = try JSONReader.value(from: json(event)) else {
      Issue.record("not an object")
      return
    }
    #expect(try ProductEvent(type: event.type, schema: 1, data: data) == event)
  }

  @Test("an unknown type or schema is refused by every aggregate")
  func refusesUnknown() {
    #expect(throws: UnknownEvent.self) { try OrderEvent(type: "X", schema: 1, data: [:]) }
    #expect(throws: UnknownEvent.self) {
      try OrderEvent(type: "OrderConfirmed", schema: 3, data: [:])
    }
    #expect(throws: UnknownEvent.self) { try StockEvent(type: "X", schema: 1, data: [:]) }
    #expect(throws: UnknownEvent.self) { try PaymentEvent(type: "X", schema: 1, data: [:]) }
    #expect(throws: UnknownEvent.self) { try ProductEvent(type: "X", schema: 1, data: [:]) }
    #expect(throws: UnknownEvent.self) { try CustomerEvent(type: "X", schema: 1, data: [:]) }
    #expect(throws: UnknownEvent.self) {
      try NotificationEvent(type: "X", schema: 1, data: [:])
    }
  }

  @Test("data that lacks a field is refused by the field's name")
  func refusesIncomplete() {
    #expect(throws: FieldError("order_id", .missing)) {
      try OrderEvent(type: "OrderCancellationRequested", schema: 1, data: [:])
    }
    #expect(throws: FieldError("items[0].quantity", .missing)) {
      var data = OrderEvent.initiated(Samples.initiated).data
      data["items"] = [["product_id": 1, "product_name": "Coffee"]]
      _ = try OrderEvent(type: "OrderInitiated", schema: 1, data: data)
    }
  }
}
