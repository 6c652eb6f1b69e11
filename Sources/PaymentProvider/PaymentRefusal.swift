/// Why a request about a payment is not answered with a payment.
enum PaymentRefusal: Error, Sendable, Hashable {
  case unknownPayment(id: String)
  /// The idempotency key was used before, for something else.
  case keyReused(key: String)
  /// The payment was undone, perhaps before it was asked for. It will never be paid.
  case voided(id: String)
  /// The bank said no; the payment tells why.
  case declined(PaymentRecord)
  /// A simulated outage: nothing was done.
  case serviceUnavailable
  /// A simulated lie: it was done, and the answer is an error.
  case failedAfterwards
  /// The connection is held, and closed without an answer.
  case neverAnswered
}
