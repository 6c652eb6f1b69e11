import Commerce

/// The payment provider. Every call is idempotent by its effect id, for ever: the same id gives
/// the same answer and has one effect.
///
/// A conformer bounds each call in time, and answers ``PaymentGatewayError/unknown(_:)`` when the
/// bound is reached.
public protocol PaymentGateway: Sendable {
  func charge(_ request: ChargeRequest) async throws(PaymentGatewayError) -> ChargeOutcome
  /// What became of the charge `effectID`, without charging. Nil: the provider has never heard of
  /// it, though a request may still be on its way. One that was undone counts as declined, `VOIDED`.
  func outcome(of effectID: String) async throws(PaymentGatewayError) -> ChargeOutcome?
  /// Gives back what the charge `effectID` took. Nothing taken: the provider remembers it and
  /// declines the charge should it still arrive.
  func refund(
    effectID: String, refundEffectID: String, amount: Money
  ) async throws(PaymentGatewayError) -> RefundOutcome
}

public struct ChargeRequest: Sendable, Hashable {
  /// The idempotency key.
  public var effectID: String
  public var orderID: OrderID
  public var userID: CustomerID
  public var amount: Money
  public var paymentMethod: String

  public init(
    effectID: String, orderID: OrderID, userID: CustomerID, amount: Money, paymentMethod: String
  ) {
    self.effectID = effectID
    self.orderID = orderID
    self.userID = userID
    self.amount = amount
    self.paymentMethod = paymentMethod
  }
}

public enum ChargeOutcome: Sendable, Hashable {
  case charged(transactionID: String)
  /// As in `CARD_DECLINED`.
  case declined(code: String, reason: String)
}

public enum RefundOutcome: Sendable, Hashable {
  case refunded(refundID: String)
  case nothingCharged
}

/// The provider gave no answer.
public enum PaymentGatewayError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The request certainly had no effect: the connection was refused.
  case notSent(String)
  /// The request may have had its effect: a timeout, a cut connection, an answer of 5xx.
  case unknown(String)

  public var description: String {
    switch self {
    case .notSent(let reason): "not sent: \(reason)"
    case .unknown(let reason): "outcome unknown: \(reason)"
    }
  }
}
