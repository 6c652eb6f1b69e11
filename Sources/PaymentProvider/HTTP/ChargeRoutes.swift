import EventSourcing
import Hummingbird

/// `/charges`: for machines. One call makes and processes a payment; one call undoes it by the key
/// it was made with, even before it was made; one call says what became of it and does nothing.
struct ChargeRoutes: Sendable {
  let cashier: Cashier

  func add(to router: Router<ProviderContext>) {
    router.group("charges")
      .add(middleware: LatencyMiddleware(simulator: cashier.simulator))
      .get(use: show)
      .post(use: charge)
      .post("refund", use: refund)
  }

  @Sendable private func show(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    let key = try request.chargeKeyInQuery()
    guard let payment = try await cashier.ledger.payment(key: key) else {
      throw Problem(.notFound, .paymentNotFound, "no request with the key \(key) ever came")
    }
    return .json(payment.chargeAnswer)
  }

  @Sendable private func charge(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    let key = try request.requiredIdempotencyKey()
    let fields = try await request.fields(known: PaymentTerms.chargeFields)
    let terms = try PaymentTerms(charge: fields)
    guard let method = terms.method else { throw FieldError("payment_method", .missing) }
    let receipt = try await cashier.charge(terms, with: method, key: key)
    return .made(receipt.payment.processingAnswer, isRepeated: receipt.isRepeated)
  }

  @Sendable private func refund(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    let key = try request.requiredIdempotencyKey()
    let chargeKey = try await request.fields(known: ["charge_key"]).string("charge_key")
    guard Request.isKey(chargeKey) else {
      throw FieldError("charge_key", .invalid("must be 1 to 128 visible characters"))
    }
    return .json(try await cashier.refund(chargeKey: chargeKey, key: key).payment.refundAnswer)
  }
}

extension Request {
  /// Reads `?key=`. Throws ``FieldError``.
  fileprivate func chargeKeyInQuery() throws(FieldError) -> String {
    var key: String?
    for (name, value) in uri.queryParameters {
      guard name == "key" else { throw FieldError(String(name), .unknown) }
      guard key == nil, Self.isKey(String(value)) else {
        throw FieldError("key", .invalid("must be one key of 1 to 128 visible characters"))
      }
      key = String(value)
    }
    guard let key else { throw FieldError("key", .missing) }
    return key
  }
}
