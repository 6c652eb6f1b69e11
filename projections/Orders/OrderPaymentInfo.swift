import Commerce
import EventSourcing

/// How an order is paid.
public struct OrderPaymentInfo: Sendable, Equatable {
  public var paymentID: String
  public var status: PaymentStatus
  /// In the currency that `payment_info` names.
  public var amount: Money
  public var paymentMethod: String
  public var transactionID: String?
  public var errorCode: String?
  public var failureReason: String?
  /// When the provider said that it took the money, or that it did not.
  public var processedAt: Timestamp?
  public var refundedAt: Timestamp?

  init(_ payment: PaymentInitiated) {
    paymentID = payment.paymentID.text
    status = .initiated
    amount = payment.amount
    paymentMethod = payment.paymentMethod
  }

  /// Moves on with an event of the payment.
  mutating func apply(_ event: PaymentEvent, at time: Timestamp) {
    switch event {
    case .initiated: break
    case .processed(let event):
      status = .processed
      transactionID = event.transactionID
      processedAt = time
    case .failed(let event):
      status = .failed
      errorCode = event.errorCode
      failureReason = event.failureReason
      processedAt = time
    case .refundRequested: status = .refundRequested
    case .refunded:
      status = .refunded
      refundedAt = time
    case .voided: status = .voided
    }
  }
}

extension OrderPaymentInfo {
  init(fields: Fields) throws {
    paymentID = try fields.string("payment_id")
    status = try fields.choice("status")
    amount = try fields.money("amount")
    paymentMethod = try fields.string("payment_method")
    transactionID = try fields.stringIfPresent("transaction_id")
    errorCode = try fields.stringIfPresent("error_code")
    failureReason = try fields.stringIfPresent("failure_reason")
    processedAt = try fields.timestampIfPresent("processed_at")
    refundedAt = try fields.timestampIfPresent("refunded_at")
  }

  var fields: Fields {
    [
      "payment_id": .string(paymentID),
      "status": .string(status.rawValue),
      "amount": amount.value,
      "currency": .string(amount.currency.code),
      "payment_method": .string(paymentMethod),
      "transaction_id": .optional(transactionID),
      "error_code": .optional(errorCode),
      "failure_reason": .optional(failureReason),
      "processed_at": .optional(processedAt),
      "refunded_at": .optional(refundedAt),
    ]
  }
}
