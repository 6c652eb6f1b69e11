import EventSourcing

/// What happens to an order's payment, in `payments/<payment_id>`.
public enum PaymentEvent: Event, Hashable {
  case initiated(PaymentInitiated)
  case processed(PaymentProcessed)
  case failed(PaymentFailed)
  case refundRequested(PaymentRefundRequested)
  case refunded(PaymentRefunded)
  case voided(PaymentVoided)

  public var type: String {
    switch self {
    case .initiated: PaymentInitiated.type
    case .processed: PaymentProcessed.type
    case .failed: PaymentFailed.type
    case .refundRequested: PaymentRefundRequested.type
    case .refunded: PaymentRefunded.type
    case .voided: PaymentVoided.type
    }
  }

  public var data: Fields {
    switch self {
    case .initiated(let event): event.fields
    case .processed(let event): event.fields
    case .failed(let event): event.fields
    case .refundRequested(let event): event.fields
    case .refunded(let event): event.fields
    case .voided(let event): event.fields
    }
  }

  public init(type: String, schema: Int, data: Fields) throws {
    switch (type, schema) {
    case (PaymentInitiated.type, 1): self = .initiated(try PaymentInitiated(fields: data))
    case (PaymentProcessed.type, 1): self = .processed(try PaymentProcessed(fields: data))
    case (PaymentFailed.type, 1): self = .failed(try PaymentFailed(fields: data))
    case (PaymentRefundRequested.type, 1):
      self = .refundRequested(try PaymentRefundRequested(fields: data))
    case (PaymentRefunded.type, 1): self = .refunded(try PaymentRefunded(fields: data))
    case (PaymentVoided.type, 1): self = .voided(try PaymentVoided(fields: data))
    default: throw UnknownEvent(type: type, schema: schema)
    }
  }
}

/// The provider is to be asked for the money, under `effectID`, until `deadline`.
public struct PaymentInitiated: Sendable, Hashable {
  public static var type: String { "PaymentInitiated" }

  public var orderID: OrderID
  public var userID: CustomerID
  public var amount: Money
  public var paymentMethod: String
  /// The provider's idempotency key: `<order_id>/pay/forward/1`.
  public var effectID: String
  public var deadline: Timestamp

  public init(
    orderID: OrderID, userID: CustomerID, amount: Money, paymentMethod: String, effectID: String,
    deadline: Timestamp
  ) {
    self.orderID = orderID
    self.userID = userID
    self.amount = amount
    self.paymentMethod = paymentMethod
    self.effectID = effectID
    self.deadline = deadline
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    userID = try fields.customerID()
    amount = try fields.money("amount")
    paymentMethod = try fields.string("payment_method")
    effectID = try fields.string("effect_id")
    deadline = try fields.timestamp("deadline")
  }

  public var paymentID: PaymentID { PaymentID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 8) {
      $0.add("payment_id", paymentID.text)
      $0.add("order_id", orderID.text)
      $0.add("user_id", userID.value)
      $0.add("amount", amount)
      $0.add("payment_method", paymentMethod)
      $0.add("effect_id", effectID)
      $0.add("deadline", deadline.iso8601)
    }
  }
}

public struct PaymentProcessed: Sendable, Hashable {
  public static var type: String { "PaymentProcessed" }
  public static var status: String { "PROCESSED" }

  public var orderID: OrderID
  public var amount: Money
  public var paymentMethod: String
  public var transactionID: String

  public init(orderID: OrderID, amount: Money, paymentMethod: String, transactionID: String) {
    self.orderID = orderID
    self.amount = amount
    self.paymentMethod = paymentMethod
    self.transactionID = transactionID
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    amount = try fields.money("amount")
    paymentMethod = try fields.string("payment_method")
    transactionID = try fields.string("transaction_id")
  }

  public var paymentID: PaymentID { PaymentID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("payment_id", paymentID.text)
      $0.add("order_id", orderID.text)
      $0.add("amount", amount)
      $0.add("payment_method", paymentMethod)
      $0.add("transaction_id", transactionID)
      $0.add("status", Self.status)
    }
  }
}

public struct PaymentFailed: Sendable, Hashable {
  public static var type: String { "PaymentFailed" }

  public var orderID: OrderID
  public var amount: Money
  /// As in `CARD_DECLINED`, `PAYMENT_UNAVAILABLE`.
  public var errorCode: String
  public var failureReason: String
  /// The provider never said: it must be asked for a refund, which may find nothing.
  public var possiblyCharged: Bool

  public init(
    orderID: OrderID, amount: Money, errorCode: String, failureReason: String,
    possiblyCharged: Bool
  ) {
    self.orderID = orderID
    self.amount = amount
    self.errorCode = errorCode
    self.failureReason = failureReason
    self.possiblyCharged = possiblyCharged
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    amount = try fields.money("amount")
    errorCode = try fields.string("error_code")
    failureReason = try fields.string("failure_reason")
    possiblyCharged = try fields.bool("possibly_charged")
  }

  public var paymentID: PaymentID { PaymentID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 7) {
      $0.add("payment_id", paymentID.text)
      $0.add("order_id", orderID.text)
      $0.add("amount", amount)
      $0.add("error_code", errorCode)
      $0.add("failure_reason", failureReason)
      $0.add("possibly_charged", possiblyCharged)
    }
  }
}
