import EventSourcing

extension Shop {
  /// Pays for an order by hand: the same payment that the order's saga would take.
  /// - Parameter amount: the order's total, in its currency.
  /// - Throws: ``ShopRejection``, ``PaymentRejection/alreadyInitiated``,
  ///   ``PaymentRejection/alreadyPaid``, ``PaymentRejection/voided``.
  public func payOrder(
    _ id: OrderID, amount: FixedDecimal, paymentMethod: String, context: CommitContext
  ) async throws -> (payment: PaymentID, receipt: Receipt) {
    try Self.checked { () throws(FieldError) in
      try FieldError.check("payment_method", paymentMethod, lengthMax: 64)
    }
    let receipt = try await onFreshReads(of: Reads(order: id), context: context) {
      let (order, version) = try await orders.state(of: id.text)
      let payable = try Self.payable(order, id)
      let payment = PaymentInitiated(
        orderID: id, userID: payable.userID, amount: try Self.checked(amount, of: payable),
        paymentMethod: paymentMethod, effectID: "\(id)/pay/forward/1",
        deadline: deadline(context))
      return Receipt(
        try await payments.handle(
          .initiateByHand(payment), on: id.paymentID.text,
          context: context.marked(payable.carriedOutBy ?? .orchestrated),
          reads: [Orders.stream(id.text): .exactly(version)]))
    }
    return (id.paymentID, receipt)
  }

  /// Asks the provider for the money, once an order; a payment that was initiated already is left
  /// as it is.
  /// - Parameter deadline: nil: the shop's own number of seconds after the context's timestamp.
  /// - Throws: ``PaymentRejection/voided``, ``PaymentRejection/invalid(_:)``.
  @discardableResult
  public func takePayment(
    order: OrderID, user: CustomerID, amount: Money, method: String, effectID: String,
    deadline: Timestamp? = nil, context: CommitContext
  ) async throws -> Receipt {
    let payment = PaymentInitiated(
      orderID: order, userID: user, amount: amount, paymentMethod: method, effectID: effectID,
      deadline: deadline ?? self.deadline(context))
    return Receipt(
      try await payments.begin(.initiate(payment), on: order.paymentID.text, context: context))
  }

  /// Asks for the money back, once. Nothing to give back: no event. Not initiated yet:
  /// ``PaymentVoided``, and it never will be. Never refused.
  @discardableResult
  public func requestRefund(
    order: OrderID, effectID: String, reason: String, context: CommitContext
  ) async throws -> Receipt {
    try await handle(
      .requestRefund(order: order, effectID: effectID, reason: reason), of: order, context)
  }

  /// The provider charged. Too late for a payment that was given up: no event, or its refund is
  /// asked for when nobody else would.
  /// - Throws: ``PaymentRejection/notInitiated``.
  @discardableResult
  public func paymentSucceeded(
    order: OrderID, transactionID: String, context: CommitContext
  ) async throws -> Receipt {
    try await handle(.succeed(transactionID: transactionID), of: order, context)
  }

  /// - Parameter possiblyCharged: the provider never said that it did not charge.
  /// - Throws: ``PaymentRejection/notInitiated``.
  @discardableResult
  public func paymentFailed(
    order: OrderID, code: String, reason: String, possiblyCharged: Bool, context: CommitContext
  ) async throws -> Receipt {
    try await handle(
      .fail(code: code, reason: reason, possiblyCharged: possiblyCharged), of: order, context)
  }

  /// - Throws: ``PaymentRejection/notInitiated``, ``PaymentRejection/refundNotRequested``.
  @discardableResult
  public func paymentRefunded(
    order: OrderID, refundID: String, context: CommitContext
  ) async throws -> Receipt {
    try await handle(.refunded(refundID: refundID), of: order, context)
  }

  /// There was nothing to refund, and the provider will refuse a late charge.
  /// - Throws: ``PaymentRejection/notInitiated``, ``PaymentRejection/refundNotRequested``.
  @discardableResult
  public func paymentVoided(order: OrderID, context: CommitContext) async throws -> Receipt {
    try await handle(.voided, of: order, context)
  }

  private func handle(
    _ command: PaymentCommand, of order: OrderID, _ context: CommitContext
  ) async throws -> Receipt {
    Receipt(try await payments.handle(command, on: order.paymentID.text, context: context))
  }

  private func deadline(_ context: CommitContext) -> Timestamp {
    context.timestamp.adding(seconds: paymentDeadlineSeconds)
  }

  private static func payable(
    _ order: Order, _ id: OrderID
  ) throws(ShopRejection) -> OrderInitiated {
    guard let initiated = order.initiated, let status = order.status else {
      throw .unknownOrder(id)
    }
    switch status {
    case .initiated, .confirmed: return initiated
    case .cancelling, .cancelled: throw .orderNotPayable(id, status)
    }
  }

  private static func checked(
    _ amount: FixedDecimal, of order: OrderInitiated
  ) throws(ShopRejection) -> Money {
    let money: Money
    do {
      money = try Money(amount, order.total.currency)
    } catch {
      throw .invalid(FieldError("amount", .invalid(error.description)))
    }
    guard money == order.total else {
      throw .amountMismatch(expected: order.total, got: money)
    }
    return money
  }
}
