import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("choreographies")
struct ChoreographiesProjectionTests {
  /// What happened to one order, commit by commit, and the row that it makes.
  private func row(_ commits: [[ProposedEvent]]) async throws -> ChoreographyRow {
    let history = History()
    history.isChoreographed = true
    for commit in commits { try await history.append(commit) }
    let row = try await history.row(History.order.sagaID, of: ChoreographiesProjection())
    return try #require(row)
  }

  private func row(_ events: ProposedEvent...) async throws -> ChoreographyRow {
    try await row(events.map { [$0] })
  }

  private func steps(_ row: ChoreographyRow) -> [String] {
    row.steps.map {
      "\($0.name.rawValue) \($0.direction.rawValue) \($0.status.rawValue)"
    }
  }

  private static let unavailable = ProposedEvent.stock(
    1,
    .unavailable(
      StockUnavailable(
        productID: ProductID(1), orderID: History.order, requestedQuantity: 2,
        availableQuantity: 0, reason: "insufficient stock")))
  private static let barred = ProposedEvent.stock(
    1,
    .reservationBarred(
      StockReservationBarred(productID: ProductID(1), orderID: History.order, reason: "undone")))
  private static let asked = ProposedEvent.order(
    .cancellationRequested(
      OrderCancellationRequested(
        orderID: History.order, userID: CustomerID(7), reason: "changed my mind")))
  private static let refundRequested = ProposedEvent.payment(
    .refundRequested(
      PaymentRefundRequested(
        orderID: History.order, amount: Money(minorUnits: 3150, currency: .cad),
        effectID: "\(History.order)/pay/undo/1", reason: "undone")))
  private static let refunded = ProposedEvent.payment(
    .refunded(
      PaymentRefunded(
        orderID: History.order, amount: Money(minorUnits: 3150, currency: .cad), refundID: "r")))
  private static let voided = ProposedEvent.payment(
    .voided(PaymentVoided(orderID: History.order)))

  private static let forward: [ProposedEvent] = [
    .initiated(), .reserved(1, 2), .paymentInitiated(), .paymentProcessed(), .confirmed(),
    .notificationSent(),
  ]

  @Test("each event of a success moves the order to the next participant")
  func success() async throws {
    let expected = [
      ("reserving", "the inventory participant to reserve the stock"),
      ("charging", "the payments participant to ask for the payment"),
      ("charging", "the payment service's answer"),
      ("confirming", "the orders participant to confirm the order"),
      ("notifying", "the confirmation message to be sent"), ("completed", nil),
    ]
    for (count, (state, waitingFor)) in zip(1..., expected) {
      let row = try await row(Self.forward.prefix(count).map { [$0] })
      #expect(row.state.rawValue == state)
      #expect(row.waitingFor == waitingFor)
      #expect(row.waitingSince == (waitingFor == nil ? nil : row.updatedAt))
      #expect(row.history.map(\.state) == expected.prefix(count).map(\.0))
    }
    let row = try await row(Self.forward.map { [$0] })
    #expect(
      steps(row) == [
        "reserve forward succeeded", "pay forward succeeded", "confirm forward succeeded",
        "notify forward succeeded",
      ])
    #expect(row.fields["attempts"] == 4)
    #expect(row.code == nil)
  }

  @Test("all products of an order are reserved at once, and speak once")
  func severalLines() async throws {
    let row = try await row([[.initiated()], [.reserved(1, 2), .reserved(2, 1)]])
    #expect(row.history.map(\.event) == ["OrderInitiated", "StockReserved"])
  }

  @Test("out of stock: waits for the cancellation, then for both tombstones")
  func outOfStock() async throws {
    let short: [ProposedEvent] = [.initiated(), Self.unavailable]
    var found = try await row(short.map { [$0] })
    #expect(found.state == .compensating)
    #expect(found.waitingFor == "the orders participant to cancel the order")
    #expect(found.code == "OUT_OF_STOCK")
    let cancelled = short + [.cancelled(reason: "insufficient stock", code: "OUT_OF_STOCK")]
    found = try await row(cancelled.map { [$0] })
    #expect(
      found.waitingFor == "the payments participant to give the payment back, "
        + "the inventory participant to release the stock")
    found = try await row((cancelled + [Self.barred]).map { [$0] })
    #expect(found.state == .compensating)
    found = try await row((cancelled + [Self.barred, Self.voided]).map { [$0] })
    #expect(found.state == .compensated)
    #expect(
      steps(found) == [
        "reserve forward failed", "place undo succeeded", "pay undo succeeded",
        "reserve undo succeeded",
      ])
    #expect(found.steps[0].reason == "insufficient stock")
  }

  @Test("a declined payment needs no refund, and is over when the stock is free")
  func declined() async throws {
    let row = try await row(
      .initiated(), .reserved(1, 2), .paymentInitiated(), .paymentFailed(),
      .cancelled(reason: "the card was declined", code: "CARD_DECLINED"), .released(1, 2))
    #expect(row.state == .compensated)
    #expect(row.code == "CARD_DECLINED")
    #expect(
      steps(row) == [
        "reserve forward succeeded", "pay forward failed", "place undo succeeded",
        "reserve undo succeeded",
      ])
  }

  @Test(
    "a payment that is possibly charged is waited for until the provider has said",
    arguments: [Self.voided, Self.refunded])
  func possiblyCharged(_ answer: ProposedEvent) async throws {
    let failed = ProposedEvent.payment(
      .failed(
        PaymentFailed(
          orderID: History.order, amount: Money(minorUnits: 3150, currency: .cad),
          errorCode: "PAYMENT_UNAVAILABLE", failureReason: "no answer", possiblyCharged: true)))
    let before: [ProposedEvent] = [
      .initiated(), .reserved(1, 2), .paymentInitiated(), failed,
      .cancelled(reason: "no answer", code: "PAYMENT_UNAVAILABLE"), Self.refundRequested,
      .released(1, 2),
    ]
    let open = try await row(before.map { [$0] })
    #expect(open.state == .compensating)
    #expect(open.waitingFor == "the payment service's answer to the refund")
    #expect(try await row((before + [answer]).map { [$0] }).state == .compensated)
  }

  @Test("cancelled before anything was done: the late reservation is undone too")
  func lateReservation() async throws {
    let cancelled: [ProposedEvent] = [.initiated(), Self.asked, .cancelled()]
    let late = cancelled + [Self.voided, .reserved(1, 2)]
    var found = try await row(late.map { [$0] })
    #expect(found.state == .compensating)
    #expect(found.waitingFor == "the inventory participant to release the stock")
    found = try await row((late + [.released(1, 2)]).map { [$0] })
    #expect(found.state == .compensated)
    let barred = try await row((cancelled + [Self.barred, Self.voided]).map { [$0] })
    #expect(barred.state == .compensated)
    #expect(steps(barred).contains("reserve forward refused"))
  }

  @Test("a success that comes after the cancellation is waited for to be undone")
  func latePayment() async throws {
    let row = try await row(
      .initiated(), .reserved(1, 2), .paymentInitiated(), Self.asked, .cancelled(),
      .paymentProcessed(), .released(1, 2))
    #expect(row.state == .compensating)
    #expect(row.waitingFor == "the payments participant to give the payment back")
    #expect(row.code == "CUSTOMER_REQUEST")
  }

  @Test("a completed order that the customer cancels goes on until everything is undone")
  func cancelledAfterwards() async throws {
    let undo: [ProposedEvent] = [
      Self.asked, .cancelled(wasConfirmed: true), .released(1, 2), Self.refundRequested,
      Self.refunded,
    ]
    let row = try await row((Self.forward + undo).map { [$0] })
    #expect(
      row.history.suffix(6).map(\.state) == [
        "completed", "compensating", "compensating", "compensating", "compensating", "compensated",
      ])
    #expect(row.reason == "changed my mind")
  }

  @Test("a refused step shows as refused, with the reason")
  func refused() async throws {
    let row = try await row(
      .initiated(), .cancelled(reason: "it is Sunday", code: "RESERVATION_REFUSED"), Self.barred,
      Self.voided)
    #expect(row.state == .compensated)
    #expect(row.steps.first?.status == .refused)
    #expect(row.steps.first?.reason == "it is Sunday")
  }

  @Test("a payment by hand before the stock is held moves the order when it is")
  func paidByHand() async throws {
    let early: [ProposedEvent] = [.initiated(), .paymentInitiated(), .paymentProcessed()]
    #expect(try await row(early.map { [$0] }).state == .reserving)
    #expect(try await row((early + [.reserved(1, 2)]).map { [$0] }).state == .confirming)
  }

  @Test("the events of an orchestrated order touch no row")
  func orchestrated() async throws {
    let history = History()
    for event in Self.forward {
      let recorded = try await history.append(event)
      for event in recorded {
        #expect(try ChoreographiesProjection().rows(touchedBy: event).isEmpty)
      }
    }
  }

  @Test("what is marked but was never placed leaves no row")
  func unplaced() async throws {
    let history = History()
    history.isChoreographed = true
    for event in Self.forward.dropFirst() { try await history.append(event) }
    #expect(try await history.rows(of: ChoreographiesProjection()).isEmpty)
  }
}
