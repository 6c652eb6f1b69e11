import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@Suite struct PaymentsTests {
  private static let order = Samples.orderID
  private static let amount = Samples.cad(398)

  private let initiated = PaymentEvent.initiated(Samples.payment)
  private let processed = PaymentEvent.processed(
    PaymentProcessed(
      orderID: order, amount: amount, paymentMethod: "card", transactionID: "t-1"))
  private let declined = PaymentEvent.failed(
    PaymentFailed(
      orderID: order, amount: amount, errorCode: "CARD_DECLINED", failureReason: "declined",
      possiblyCharged: false))
  private let unanswered = PaymentEvent.failed(
    PaymentFailed(
      orderID: order, amount: amount, errorCode: "PAYMENT_UNAVAILABLE",
      failureReason: "no answer", possiblyCharged: true))
  private let refundRequested = PaymentEvent.refundRequested(
    PaymentRefundRequested(
      orderID: order, amount: amount, effectID: "undo/1", reason: "cancelled"))
  private let refunded = PaymentEvent.refunded(
    PaymentRefunded(orderID: order, amount: amount, refundID: "r-1"))
  private let voided = PaymentEvent.voided(PaymentVoided(orderID: order))

  private let succeed = PaymentCommand.succeed(transactionID: "t-1")
  private let decline = PaymentCommand.fail(
    code: "CARD_DECLINED", reason: "declined", possiblyCharged: false)
  private let giveUp = PaymentCommand.fail(
    code: "PAYMENT_UNAVAILABLE", reason: "no answer", possiblyCharged: true)
  private let requestRefund = PaymentCommand.requestRefund(
    order: order, effectID: "undo/1", reason: "cancelled")
  private let refund = PaymentCommand.refunded(refundID: "r-1")

  @Test("a payment is initiated, once")
  func initiates() throws {
    try given(Payments.self).when(.initiate(Samples.payment)).then(initiated)
    try given(Payments.self, initiated).when(.initiate(Samples.payment)).thenNothing()
    try given(Payments.self, initiated, declined).when(.initiate(Samples.payment))
      .thenNothing()
  }

  @Test("a payment by hand is refused when there is one already")
  func refusesSecondByHand() throws {
    let byHand = PaymentCommand.initiateByHand(Samples.payment)
    try given(Payments.self).when(byHand).then(initiated)
    try given(Payments.self, initiated).when(byHand).thenRejected(.alreadyInitiated)
    try given(Payments.self, initiated, declined).when(byHand).thenRejected(.alreadyInitiated)
    try given(Payments.self, initiated, processed).when(byHand).thenRejected(.alreadyPaid)
  }

  @Test("an amount is greater than 0")
  func refusesAmount() throws {
    var payment = Samples.payment
    payment.amount = Samples.cad(0)
    let rejection = PaymentRejection.invalid(
      FieldError("amount", .invalid("must be greater than 0")))
    try given(Payments.self).when(.initiate(payment)).thenRejected(rejection)
    try given(Payments.self).when(.initiateByHand(payment)).thenRejected(rejection)
  }

  @Test("the provider's first answer counts")
  func outcomes() throws {
    try given(Payments.self, initiated).when(succeed).then(processed)
    try given(Payments.self, initiated).when(decline).then(declined)
    try given(Payments.self, initiated).when(giveUp).then(unanswered)
    try given(Payments.self, initiated, processed).when(succeed).thenNothing()
    try given(Payments.self, initiated, processed).when(decline).thenNothing()
    try given(Payments.self, initiated, declined).when(decline).thenNothing()
  }

  @Test("a late success after the payment was given up changes nothing: the refund settles it")
  func ignoresLateSuccess() throws {
    try given(Payments.self, initiated, unanswered).when(succeed).thenNothing()
    try given(Payments.self, initiated, unanswered, refundRequested).when(succeed).thenNothing()
    try given(Payments.self, initiated, unanswered, refundRequested, voided).when(succeed)
      .thenNothing()
  }

  @Test("a payment that failed for certain and was charged all the same asks for its refund, once")
  func chargedAfterCertainFailure() throws {
    let asked = PaymentEvent.refundRequested(
      PaymentRefundRequested(
        orderID: Self.order, amount: Self.amount, effectID: "\(Self.order)/pay/undo/1",
        reason: "charged after it had failed"))
    try given(Payments.self, initiated, declined).when(succeed).then(asked)
    try given(Payments.self, initiated, declined, asked).when(succeed).thenNothing()
    try given(Payments.self, initiated, declined, asked).when(requestRefund).thenNothing()
    try given(Payments.self, initiated, declined, asked).when(refund).then(refunded)
  }

  @Test("an outcome of a payment that nobody initiated is refused")
  func refusesUnknown() throws {
    for command in [succeed, decline, refund, .voided] {
      try given(Payments.self).when(command).thenRejected(.notInitiated)
    }
  }

  @Test("money is asked back when it was charged, may have been, or may still be")
  func requestsRefund() throws {
    try given(Payments.self, initiated, processed).when(requestRefund).then(refundRequested)
    try given(Payments.self, initiated, unanswered).when(requestRefund).then(refundRequested)
    try given(Payments.self, initiated).when(requestRefund).then(refundRequested)
  }

  @Test("a refund that was asked for while the charge was open is not undone by its outcome")
  func outcomeAfterRefundRequest() throws {
    try given(Payments.self, initiated, refundRequested).when(succeed).thenNothing()
    try given(Payments.self, initiated, refundRequested).when(decline).thenNothing()
    try given(Payments.self, initiated, refundRequested).when(.voided).then(voided)
  }

  @Test("asking for a refund is never refused, and does nothing when there is nothing to give back")
  func requestsRefundInVain() throws {
    try given(Payments.self, initiated, declined).when(requestRefund).thenNothing()
    try given(Payments.self, initiated, processed, refundRequested).when(requestRefund)
      .thenNothing()
    try given(Payments.self, initiated, processed, refundRequested, refunded)
      .when(requestRefund).thenNothing()
  }

  @Test("a payment that is undone before it was initiated never will be, by whomever; once")
  func undoneFirst() throws {
    try given(Payments.self).when(requestRefund).then(voided)
    try given(Payments.self, voided).when(requestRefund).thenNothing()
    for forward in [PaymentCommand.initiate(Samples.payment), .initiateByHand(Samples.payment)] {
      try given(Payments.self, voided).when(forward).thenRejected(.voided)
    }
    for outcome in [succeed, decline, giveUp, refund, .voided] {
      try given(Payments.self, voided).when(outcome).thenRejected(.notInitiated)
    }
    #expect(given(Payments.self, voided).when(requestRefund).state.status == .voided)
  }

  @Test("a refund ends in the money given back or in nothing to give back, once")
  func settles() throws {
    let asked = [initiated, processed, refundRequested]
    try given(Payments.self, history: asked).when(refund).then(refunded)
    try given(Payments.self, history: asked).when(.voided).then(voided)
    for end in [refunded, voided] {
      try given(Payments.self, history: asked + [end]).when(refund).thenNothing()
      try given(Payments.self, history: asked + [end]).when(.voided).thenNothing()
    }
  }

  @Test("a payment that was possibly charged may be settled before anybody asks")
  func settlesUnanswered() throws {
    try given(Payments.self, initiated, unanswered).when(.voided).then(voided)
    try given(Payments.self, initiated, unanswered).when(refund).then(refunded)
  }

  @Test("a refund that nobody asked for is refused")
  func refusesRefund() throws {
    for history in [[initiated], [initiated, processed], [initiated, declined]] {
      try given(Payments.self, history: history).when(refund).thenRejected(.refundNotRequested)
      try given(Payments.self, history: history).when(.voided).thenRejected(.refundNotRequested)
    }
  }
}

@Suite struct NotificationsTests {
  private static let notification = NotificationRequested(
    orderID: Samples.orderID, userID: Samples.ada.customerID, recipient: Samples.ada.email,
    subject: "Your order is confirmed")

  private let requested = NotificationEvent.requested(notification)
  private let sent = NotificationEvent.sent(
    NotificationSent(
      orderID: Samples.orderID, recipient: Samples.ada.email, kind: "order_confirmed",
      channel: "log", messageID: "m-1"))
  private let failed = NotificationEvent.failed(
    NotificationFailed(
      orderID: Samples.orderID, recipient: Samples.ada.email, kind: "order_confirmed",
      channel: "log", reason: "no disk"))

  @Test("a message is requested, once")
  func requests() throws {
    let command = NotificationCommand.request(Self.notification)
    try given(Notifications.self).when(command).then(requested)
    try given(Notifications.self, requested).when(command).thenNothing()
    try given(Notifications.self, requested, sent).when(command).thenNothing()
  }

  @Test("the first outcome of a message is its last")
  func outcomes() throws {
    try given(Notifications.self, requested).when(.sent(messageID: "m-1")).then(sent)
    try given(Notifications.self, requested).when(.failed(reason: "no disk")).then(failed)
    for end in [sent, failed] {
      try given(Notifications.self, requested, end).when(.sent(messageID: "m-2")).thenNothing()
      try given(Notifications.self, requested, end).when(.failed(reason: "late")).thenNothing()
    }
  }

  @Test("an outcome of a message that nobody requested is refused")
  func refusesUnknown() throws {
    try given(Notifications.self).when(.sent(messageID: "m-1")).thenRejected(.notRequested)
    try given(Notifications.self).when(.failed(reason: "x")).thenRejected(.notRequested)
  }
}
