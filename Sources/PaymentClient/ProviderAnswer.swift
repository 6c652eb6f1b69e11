import EventSourcing
import Sagas

/// What the payment provider answered, and what it means for the money.
struct ProviderAnswer: Sendable {
  let status: Int
  /// Empty when the body is not a JSON object.
  let fields: Fields

  init(status: Int, bytes: [UInt8]) {
    self.status = status
    fields = (try? JSONReader.value(from: bytes))?.objectValue ?? Fields()
  }

  /// Charged or declined only where the answer leaves no doubt; an answer that cannot be read says
  /// nothing about the money.
  func chargeOutcome() throws(PaymentGatewayError) -> ChargeOutcome {
    switch status {
    case 200, 201:
      guard text("status") == "captured", let transactionID = text("transaction_id") else {
        throw unclear
      }
      return .charged(transactionID: transactionID)
    case 402:
      guard let code = text("error_code") else { throw unclear }
      return .declined(code: code, reason: reason)
    case 409:
      guard text("error_code") == "VOIDED" else { throw unclear }
      return .declined(code: "VOIDED", reason: reason)
    case 408, 425, 429: throw unclear
    case 422 where text("error_code") == "IDEMPOTENCY_KEY_REUSED":
      // Some charge was made under this key: it must be found out and undone, not forgotten.
      throw unclear
    case 400..<500: return .declined(code: "INVALID_REQUEST", reason: reason)
    default: throw unclear
    }
  }

  /// What became of a charge that the provider was asked for by its key; nil when it has never heard
  /// of the key. A charge that was undone counts as declined: it will not be paid.
  func knownOutcome() throws(PaymentGatewayError) -> ChargeOutcome? {
    if status == 404, text("error_code") == "PAYMENT_NOT_FOUND" { return nil }
    guard status == 200 else { throw unclear }
    switch text("status") {
    case "captured":
      guard let transactionID = text("transaction_id") else { throw unclear }
      return .charged(transactionID: transactionID)
    case "declined":
      guard let code = text("error_code") else { throw unclear }
      return .declined(code: code, reason: text("detail") ?? code)
    case "refunded", "voided": return .declined(code: "VOIDED", reason: "the charge was undone")
    default: throw unclear
    }
  }

  /// A refund is never refused: whatever is not a clear answer is asked again.
  func refundOutcome() throws(PaymentGatewayError) -> RefundOutcome {
    guard status == 200 || status == 201 else { throw unclear }
    switch text("status") {
    case "refunded":
      guard let refundID = text("refund_id") else { throw unclear }
      return .refunded(refundID: refundID)
    case "nothing_charged": return .nothingCharged
    default: throw unclear
    }
  }

  private func text(_ key: String) -> String? { fields[key]?.stringValue }

  private var reason: String { text("detail") ?? "the provider answered \(status)" }

  private var unclear: PaymentGatewayError {
    .unknown("the provider answered \(status) \(text("error_code") ?? "")")
  }
}
