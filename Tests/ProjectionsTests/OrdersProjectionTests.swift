import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("orders")
struct OrdersProjectionTests {
  private func confirm(_ history: History) async throws {
    try await history.append(.initiated(store: 3))
    try await history.append([.reserved(1, 2), .reserved(2, 1)])
    try await history.append(.paymentInitiated())
    try await history.append(.paymentProcessed())
    try await history.append(.confirmed())
    try await history.append(.notificationSent())
  }

  private func row(_ history: History) async throws -> OrderRow {
    try #require(try await history.row(History.order.text, of: OrdersProjection()))
  }

  @Test("an initiated order shows who ordered what, to be sent where")
  func initiated() async throws {
    let history = History()
    let address = ShippingAddress(street: "1 Main St", city: "Montreal", postalCode: "H1A 1A1")
    try await history.append(.initiated(store: 3, address: address))
    let json = try await row(history).json
    #expect(
      JSONWriter.text(.object(json)) == """
        {"order_id":"\(History.order)","user_id":7,"user_name":"User 7",\
        "user_email":"user7@example.com","items":[{"product_id":1,"product_name":"Product 1",\
        "quantity":2,"unit_price":10.50,"line_total":21.00},{"product_id":2,\
        "product_name":"Product 2","quantity":1,"unit_price":10.50,"line_total":10.50}],\
        "total_amount":31.50,"currency":"CAD","status":"initiated","payment_info":null,\
        "shipping_info":{"address":{"street":"1 Main St","city":"Montreal",\
        "postal_code":"H1A 1A1"},"store_id":3},"reservation":null,"cancellation":null,\
        "timeline":[{"event":"OrderInitiated","timestamp":"2026-01-01T00:00:01.000Z",\
        "position":1}],"created_at":"2026-01-01T00:00:01.000Z",\
        "updated_at":"2026-01-01T00:00:01.000Z"}
        """)
  }

  @Test("a confirmed order shows exactly its five milestones")
  func confirmed() async throws {
    let history = History()
    try await confirm(history)
    let row = try await row(history)
    #expect(row.status == .confirmed)
    #expect(
      row.timeline.map(\.event) == [
        "OrderInitiated", "StockReserved", "PaymentProcessed", "OrderConfirmed",
        "NotificationSent",
      ])
    #expect(row.timeline.map(\.position.rawValue) == [1, 2, 5, 6, 7])
    #expect(row.payment?.status == .processed)
    #expect(row.payment?.transactionID == "txn_1")
    #expect(row.payment?.processedAt == History.start.adding(seconds: 4))
    #expect(row.reservation?.status == .reserved)
    #expect(row.reservation?.items.map(\.quantity) == [2, 1])
    #expect(row.updatedAt == History.start.adding(seconds: 6))
    #expect(row.json["position_created"] == nil)
  }

  @Test("the status follows reservation and payment")
  func statuses() async throws {
    let history = History()
    var seen: [OrderRow.Status] = []
    for event: ProposedEvent in [
      .initiated(), .reserved(1, 2), .paymentInitiated(), .paymentProcessed(), .confirmed(),
    ] {
      try await history.append(event)
      seen.append(try await row(history).status)
    }
    #expect(seen == [.initiated, .stockReserved, .stockReserved, .paid, .confirmed])
  }

  @Test("an order out of stock says what it wanted and what there was")
  func outOfStock() async throws {
    let history = History()
    try await history.append(.initiated())
    try await history.append(
      .stock(
        1,
        .unavailable(
          StockUnavailable(
            productID: ProductID(1), orderID: History.order, requestedQuantity: 2,
            availableQuantity: 1, reason: "insufficient stock"))))
    #expect(try await row(history).status == .cancelling)
    try await history.append(.cancelled(reason: "insufficient stock", code: "OUT_OF_STOCK"))
    let row = try await row(history)
    #expect(row.status == .cancelled)
    #expect(row.reservation?.status == .unavailable)
    #expect(row.reservation?.items.first?.quantity == 2)
    #expect(row.reservation?.items.first?.availableQuantity == 1)
    #expect(
      row.cancellation
        == OrderRow.Cancellation(reason: "insufficient stock", code: "OUT_OF_STOCK"))
    #expect(
      row.timeline.map(\.event) == ["OrderInitiated", "StockUnavailable", "OrderCancelled"])
  }

  @Test("an order that is undone before stock and money were asked for has neither")
  func undoneFirst() async throws {
    let history = History()
    try await history.append(.initiated())
    try await history.append(
      .stock(
        1,
        .reservationBarred(
          StockReservationBarred(
            productID: ProductID(1), orderID: History.order, reason: "no"))))
    try await history.append(.payment(.voided(PaymentVoided(orderID: History.order))))
    try await history.append(.cancelled())
    let row = try await row(history)
    #expect(row.status == .cancelled)
    #expect(row.payment == nil)
    #expect(row.reservation == nil)
    #expect(row.timeline.map(\.event) == ["OrderInitiated", "PaymentVoided", "OrderCancelled"])
    #expect(try await history.rows(of: StockProjection()).isEmpty)
  }

  @Test("a declined payment is kept with its code, and the stock is released line by line")
  func declined() async throws {
    let history = History()
    try await history.append(.initiated())
    try await history.append([.reserved(1, 2), .reserved(2, 1)])
    try await history.append(.paymentInitiated())
    try await history.append(.paymentFailed())
    #expect(try await row(history).status == .cancelling)
    try await history.append(.released(1, 2))
    #expect(try await row(history).reservation?.status == .reserved)
    try await history.append(.released(2, 1))
    let row = try await row(history)
    #expect(row.reservation?.status == .released)
    #expect(row.payment?.status == .failed)
    #expect(row.payment?.errorCode == "CARD_DECLINED")
    #expect(row.payment?.failureReason == "the card was declined")
  }

  @Test("a confirmed order that the customer cancels is refunded, released, cancelled")
  func cancelledAfterConfirmation() async throws {
    let history = History()
    try await confirm(history)
    let amount = Money(minorUnits: 3150, currency: .cad)
    try await history.append(
      .order(
        .cancellationRequested(
          OrderCancellationRequested(
            orderID: History.order, userID: CustomerID(7), reason: "too late"))))
    let waiting = try await row(history)
    #expect(waiting.status == .cancelling)
    #expect(waiting.cancellation == OrderRow.Cancellation(reason: "too late", code: nil))
    try await history.append(
      .payment(
        .refundRequested(
          PaymentRefundRequested(
            orderID: History.order, amount: amount, effectID: "e", reason: "r"))))
    #expect(try await row(history).payment?.status == .refundRequested)
    try await history.append(
      .payment(
        .refunded(PaymentRefunded(orderID: History.order, amount: amount, refundID: "r_1"))))
    try await history.append([.released(1, 2), .released(2, 1)])
    try await history.append(.cancelled(wasConfirmed: true))
    let row = try await row(history)
    #expect(row.status == .cancelled)
    #expect(row.payment?.status == .refunded)
    #expect(row.payment?.refundedAt == History.start.adding(seconds: 9))
    #expect(
      row.timeline.suffix(4).map(\.event) == [
        "OrderCancellationRequested", "PaymentRefunded", "StockReleased", "OrderCancelled",
      ])
  }

  @Test("a confirmation after a wish to cancel leaves the order on its way out")
  func confirmedWhileCancelling() async throws {
    let history = History()
    try await history.append(.initiated())
    try await history.append(
      .order(
        .cancellationRequested(
          OrderCancellationRequested(
            orderID: History.order, userID: CustomerID(7), reason: "no"))))
    try await history.append(.confirmed())
    #expect(try await row(history).status == .cancelling)
  }

  @Test("what concerns an order without a row leaves none")
  func noRow() async throws {
    let history = History()
    try await history.append([.reserved(1, 2), .paymentInitiated(), .paymentProcessed()])
    try await history.append([.confirmed(), .notificationSent(), .cancelled()])
    #expect(try await history.rows(of: OrdersProjection()).isEmpty)
  }

  @Test("a second initiation changes nothing")
  func initiatedTwice() async throws {
    let history = History()
    try await confirm(history)
    let before = try await row(history)
    try await history.append(.initiated(user: 8))
    #expect(try await row(history) == before)
  }
}
