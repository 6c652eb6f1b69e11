import EventSourcing

public struct PaymentRefundRequested: Sendable, Hashable {
  public static var type: String { "PaymentRefundRequested" }

  public var orderID: OrderID
  public var amount: Money
  /// The provider's idempotency key of the refund: `<order_id>/pay/undo/1`.
  public var effectID: String
  public var reason: String

  public init(orderID: OrderID, amount: Money, effectID: String, reason: String) {
    self.orderID = orderID
    self.amount = amount
    self.effectID = effectID
    self.reason = reason
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    amount = try fields.money("amount")
    effectID = try fields.string("effect_id")
    reason = try fields.string("reason")
  }

  public var paymentID: PaymentID { PaymentID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 6) {
      $0.add("payment_id", paymentID.text)
      $0.add("order_id", orderID.text)
      $0.add("amount", amount)
      $0.add("effect_id", effectID)
      $0.add("reason", reason)
    }
  }
}

public struct PaymentRefunded: Sendable, Hashable {
  public static var type: String { "PaymentRefunded" }

  public var orderID: OrderID
  public var amount: Money
  public var refundID: String

  public init(orderID: OrderID, amount: Money, refundID: String) {
    self.orderID = orderID
    self.amount = amount
    self.refundID = refundID
  }

  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    amount = try fields.money("amount")
    refundID = try fields.string("refund_id")
  }

  public var paymentID: PaymentID { PaymentID(orderID) }

  public var fields: Fields {
    FieldsWriter.fields(capacity: 5) {
      $0.add("payment_id", paymentID.text)
      $0.add("order_id", orderID.text)
      $0.add("amount", amount)
      $0.add("refund_id", refundID)
    }
  }
}

/// A payment that was possibly charged was not, and the provider now refuses a late charge. As the
/// first event of its payment: the payment was undone before it was initiated, and never will be.
public struct PaymentVoided: Sendable, Hashable {
  public static var type: String { "PaymentVoided" }

  public var orderID: OrderID

  public init(orderID: OrderID) { self.orderID = orderID }

  public init(fields: Fields) throws { orderID = try fields.orderID() }

  public var paymentID: PaymentID { PaymentID(orderID) }

  public var fields: Fields {
    ["payment_id": .string(paymentID.text), "order_id": .string(orderID.text)]
  }
}
