import Commerce
import EventSourcing
import Testing

@Suite struct ShopPaymentTests {
  private let total = FixedDecimal(unscaled: 398, scale: 2)

  private func pay(
    _ fixture: ShopFixture, _ id: OrderID, _ amount: FixedDecimal? = nil,
    context: CommitContext = Samples.context()
  ) async throws -> (payment: PaymentID, receipt: Shop.Receipt) {
    try await fixture.shop.payOrder(
      id, amount: amount ?? total, paymentMethod: "card", context: context)
  }

  @Test("a payment by hand is the payment that the saga would take")
  func paysByHand() async throws {
    let fixture = try await ShopFixture()
    let id = try await fixture.place().orderID
    let context = Samples.context()
    let (payment, receipt) = try await pay(fixture, id, context: context)
    #expect(payment == id.paymentID)
    let event = try #require(receipt.commit?.events.first)
    #expect(try event.data.string("effect_id") == "\(id)/pay/forward/1")
    #expect(try event.data.timestamp("deadline") == Samples.now.adding(seconds: 60))
    #expect(event.stream == StreamName("payments/\(payment)"))

    #expect(try await pay(fixture, id, context: context).receipt.isRepeated)
    let bySaga = try await fixture.shop.takePayment(
      order: id, user: Samples.ada.customerID, amount: Samples.cad(398), method: "card",
      effectID: "\(id)/pay/forward/1", context: Samples.context())
    #expect(bySaga.commit == nil)
    try await fixture.refuses(PaymentRejection.alreadyInitiated) {
      _ = try await pay(fixture, id)
    }
    try await fixture.shop.paymentSucceeded(
      order: id, transactionID: "t", context: Samples.context())
    try await fixture.refuses(PaymentRejection.alreadyPaid) { _ = try await pay(fixture, id) }
  }

  @Test("only the order's own total pays for it")
  func refusesAmounts() async throws {
    let fixture = try await ShopFixture()
    let id = try await fixture.place().orderID
    try await fixture.refuses(
      ShopRejection.amountMismatch(expected: Samples.cad(398), got: Samples.cad(400))
    ) {
      _ = try await pay(fixture, id, FixedDecimal(unscaled: 4, scale: 0))
    }
    let error = FieldError(
      "amount", .invalid("must have at most 2 digits after the point in CAD"))
    try await fixture.refuses(ShopRejection.invalid(error)) {
      _ = try await pay(fixture, id, FixedDecimal(unscaled: 3980, scale: 3))
    }
  }

  @Test("an unknown order and an order on its way out take no payment")
  func refusesOrders() async throws {
    let fixture = try await ShopFixture()
    try await fixture.refuses(ShopRejection.unknownOrder(Samples.otherOrderID)) {
      _ = try await pay(fixture, Samples.otherOrderID)
    }
    let id = try await fixture.place().orderID
    _ = try await fixture.shop.cancelOrder(id, reason: "no", context: Samples.context())
    try await fixture.refuses(ShopRejection.orderNotPayable(id, .cancelling)) {
      _ = try await pay(fixture, id)
    }
    try await fixture.shop.cancelOrderFinally(
      id, reason: "no", code: "CUSTOMER_REQUEST", context: Samples.context())
    try await fixture.refuses(ShopRejection.orderNotPayable(id, .cancelled)) {
      _ = try await pay(fixture, id)
    }
  }

  @Test("an order that another process cancels just before is not paid for")
  func looksAgain() async throws {
    let fixture = try await ShopFixture()
    let id = try await fixture.place().orderID
    _ = try await fixture.anotherShop().cancelOrder(
      id, reason: "no", context: Samples.context())
    try await fixture.refuses(ShopRejection.orderNotPayable(id, .cancelling)) {
      _ = try await pay(fixture, id)
    }
  }

  @Test("a repeated payment is answered as before, though the order was cancelled since")
  func repeatsAfterCancellation() async throws {
    let fixture = try await ShopFixture()
    let id = try await fixture.place().orderID
    let context = Samples.context()
    let first = try await pay(fixture, id, context: context)
    _ = try await fixture.shop.cancelOrder(id, reason: "no", context: Samples.context())
    let again = try await pay(fixture, id, context: context)
    #expect(again.receipt.isRepeated)
    #expect(again.payment == first.payment)
  }

  @Test("the deadline of a payment is the given one, else the shop's seconds from now")
  func deadlines() async throws {
    let shop = Shop(log: InMemoryLog(), paymentDeadlineSeconds: 5)
    func deadline(_ order: OrderID, _ given: Timestamp?) async throws -> Timestamp? {
      let receipt = try await shop.takePayment(
        order: order, user: CustomerID(1), amount: Samples.cad(1), method: "card",
        effectID: "e", deadline: given, context: Samples.context())
      return try receipt.commit?.events.first?.data.timestamp("deadline")
    }
    let later = Samples.now.adding(seconds: 99)
    #expect(try await deadline(Samples.orderID, nil) == Samples.now.adding(seconds: 5))
    #expect(try await deadline(Samples.otherOrderID, later) == later)
  }

  @Test("an undo that overtakes its payment voids it: neither the saga nor a hand can pay any more")
  func undoneFirst() async throws {
    let fixture = try await ShopFixture()
    let id = try await fixture.place().orderID
    func undo() async throws -> [String] {
      try await fixture.anotherShop().requestRefund(
        order: id, effectID: "\(id)/pay/undo/1", reason: "cancelled", context: Samples.context()
      ).commit?.events.map(\.type) ?? []
    }
    #expect(try await undo() == ["PaymentVoided"])
    #expect(try await undo() == [])
    try await fixture.refuses(PaymentRejection.voided) {
      try await fixture.shop.takePayment(
        order: id, user: Samples.ada.customerID, amount: Samples.cad(398), method: "card",
        effectID: "\(id)/pay/forward/1", context: Samples.context())
    }
    try await fixture.refuses(PaymentRejection.voided) { _ = try await pay(fixture, id) }
  }

  @Test("a whole payment with its refund, and a message, through the front door")
  func wholeStory() async throws {
    let fixture = try await ShopFixture()
    let shop = fixture.shop
    let id = try await fixture.place().orderID
    _ = try await pay(fixture, id)
    try await shop.paymentFailed(
      order: id, code: "PAYMENT_UNAVAILABLE", reason: "no answer", possiblyCharged: true,
      context: Samples.context())
    try await shop.requestRefund(
      order: id, effectID: "\(id)/pay/undo/1", reason: "no answer", context: Samples.context())
    try await shop.paymentRefunded(order: id, refundID: "r", context: Samples.context())
    let late = try await shop.paymentVoided(order: id, context: Samples.context())
    #expect(late.commit == nil)
    #expect(
      try await fixture.events("payments").map(\.type) == [
        "PaymentInitiated", "PaymentFailed", "PaymentRefundRequested", "PaymentRefunded",
      ])
    try await shop.requestNotification(
      order: id, user: Samples.ada.customerID, recipient: Samples.ada.email, subject: "Hello",
      context: Samples.context())
    try await shop.notificationSent(order: id, messageID: "m", context: Samples.context())
    let second = try await shop.notificationFailed(
      order: id, reason: "late", context: Samples.context())
    #expect(second.commit == nil)
    #expect(
      try await fixture.events("notifications").map(\.type) == [
        "NotificationRequested", "NotificationSent",
      ])
    try await shop.confirmOrder(id, context: Samples.context())
    #expect(try await shop.orders.state(of: id.text).state.status == .confirmed)
  }
}
