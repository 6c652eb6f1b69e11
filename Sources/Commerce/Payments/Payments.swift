import EventSourcing

public enum PaymentCommand: Sendable, Hashable {
  /// By the saga: a payment that was initiated already, by whomever, is what it wants.
  case initiate(PaymentInitiated)
  /// By hand: a payment that was initiated already is refused.
  case initiateByHand(PaymentInitiated)
  case succeed(transactionID: String)
  case fail(code: String, reason: String, possiblyCharged: Bool)
  /// An undo, which may overtake what it undoes: a payment that was never initiated never will be.
  case requestRefund(order: OrderID, effectID: String, reason: String)
  case refunded(refundID: String)
  case voided
}

public enum PaymentRejection: Error, Sendable, Hashable {
  case notInitiated
  case alreadyInitiated
  case alreadyPaid
  /// The payment was undone before it was initiated.
  case voided
  /// An outcome of a refund that nobody asked for.
  case refundNotRequested
  case invalid(FieldError)
}

public enum PaymentStatus: String, Sendable, Hashable, CaseIterable {
  case initiated, processed, failed, refunded, voided
  case refundRequested = "refund_requested"
}

public struct Payment: Sendable, Hashable {
  /// Nil while the payment is unknown, and for ever when it was undone before.
  public var initiated: PaymentInitiated?
  /// Nil while the payment is unknown.
  public var status: PaymentStatus?
  /// The payment failed, and the provider never said whether it charged.
  public var possiblyCharged = false

  /// Whether it was undone before it was initiated, and never will be.
  public var isBarred: Bool { initiated == nil && status == .voided }
}

/// One payment an order. What the provider says after the payment was given up changes nothing
/// here: the refund, which the provider matches by the effect id of the charge, settles it. A payment
/// that had failed for certain, and was charged all the same, asks for that refund itself.
public enum Payments: Decider {
  public typealias State = Payment
  public typealias Command = PaymentCommand
  public typealias Event = PaymentEvent
  public typealias Rejection = PaymentRejection

  public static var category: String { "payments" }
  public static var initial: Payment { Payment() }

  public static func decide(
    _ command: PaymentCommand, _ state: Payment
  ) throws(PaymentRejection) -> [PaymentEvent] {
    switch command {
    case .initiate, .initiateByHand:
      if state.isBarred { throw .voided }
    case .succeed, .fail, .requestRefund, .refunded, .voided: break
    }
    switch command {
    case .initiate(let payment):
      return state.initiated == nil ? [.initiated(try checked(payment))] : []
    case .initiateByHand(let payment):
      switch state.status {
      case nil: return [.initiated(try checked(payment))]
      case .processed: throw .alreadyPaid
      case .initiated, .failed, .refundRequested, .refunded, .voided: throw .alreadyInitiated
      }
    case .succeed, .fail, .requestRefund, .refunded, .voided: break
    }
    guard let payment = state.initiated, state.status != nil else {
      // An undo is never refused. What it undoes may still come, and is refused then.
      if case .requestRefund(let order, _, _) = command {
        return state.isBarred ? [] : [.voided(PaymentVoided(orderID: order))]
      }
      throw .notInitiated
    }
    switch command {
    case .initiate, .initiateByHand: return []
    case .succeed(let transactionID): return succeed(payment, state, transactionID)
    case .fail(let code, let reason, let possiblyCharged):
      guard state.status == .initiated else { return [] }
      return [
        .failed(
          PaymentFailed(
            orderID: payment.orderID, amount: payment.amount, errorCode: code,
            failureReason: reason, possiblyCharged: possiblyCharged))
      ]
    case .requestRefund(_, let effectID, let reason):
      guard mayHoldMoney(state) else { return [] }
      return [
        .refundRequested(
          PaymentRefundRequested(
            orderID: payment.orderID, amount: payment.amount, effectID: effectID,
            reason: reason))
      ]
    case .refunded(let refundID):
      let event = PaymentRefunded(
        orderID: payment.orderID, amount: payment.amount, refundID: refundID)
      return try settle(state, with: .refunded(event))
    case .voided:
      return try settle(state, with: .voided(PaymentVoided(orderID: payment.orderID)))
    }
  }

  public static func evolve(_ state: inout Payment, _ event: PaymentEvent) {
    switch event {
    case .initiated(let payment):
      state.initiated = payment
      state.status = .initiated
    case .processed: state.status = .processed
    case .failed(let failure):
      state.status = .failed
      state.possiblyCharged = failure.possiblyCharged
    case .refundRequested: state.status = .refundRequested
    case .refunded: state.status = .refunded
    case .voided: state.status = .voided
    }
  }

  private static func checked(
    _ payment: PaymentInitiated
  ) throws(PaymentRejection) -> PaymentInitiated {
    guard payment.amount.minorUnits > 0 else {
      throw .invalid(FieldError("amount", .invalid("must be greater than 0")))
    }
    return payment
  }

  private static func succeed(
    _ payment: PaymentInitiated, _ state: Payment, _ transactionID: String
  ) -> [PaymentEvent] {
    switch state.status {
    case .initiated:
      return [
        .processed(
          PaymentProcessed(
            orderID: payment.orderID, amount: payment.amount,
            paymentMethod: payment.paymentMethod, transactionID: transactionID))
      ]
    case .failed where !state.possiblyCharged:
      // Nobody else asks for it back.
      return [
        .refundRequested(
          PaymentRefundRequested(
            orderID: payment.orderID, amount: payment.amount,
            effectID: "\(payment.orderID)/pay/undo/1", reason: "charged after it had failed"))
      ]
    case nil, .processed, .failed, .refundRequested, .refunded, .voided: return []
    }
  }

  /// Whether a refund has to be asked for. A payment whose outcome is still open counts: it is
  /// undoable from the moment it was requested.
  private static func mayHoldMoney(_ state: Payment) -> Bool {
    switch state.status {
    case .initiated, .processed: true
    case .failed: state.possiblyCharged
    case nil, .refundRequested, .refunded, .voided: false
    }
  }

  private static func settle(
    _ state: Payment, with event: PaymentEvent
  ) throws(PaymentRejection) -> [PaymentEvent] {
    switch state.status {
    case .refundRequested: return [event]
    case .failed where state.possiblyCharged: return [event]
    case .refunded, .voided: return []
    case nil, .initiated, .processed, .failed: throw .refundNotRequested
    }
  }
}
