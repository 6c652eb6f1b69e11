import EventSourcing

/// The bodies of requests about payments. Each reader throws ``FieldError`` for the first field that
/// is not right.
extension PaymentTerms {
  static let paymentFields: Set<String> = [
    "user_id", "order_id", "total_amount", "currency", "payment_method",
  ]
  static let chargeFields: Set<String> = [
    "user_id", "order_id", "amount", "currency", "payment_method",
  ]

  /// The body of `POST /payments`.
  init(payment fields: Fields) throws(FieldError) {
    self.init(
      operation: .payment, order: try fields.reference("order_id"),
      user: try fields.reference("user_id"), amount: try fields.amount("total_amount"),
      method: try fields.paymentMethodIfPresent())
  }

  /// The body of `POST /charges`.
  init(charge fields: Fields) throws(FieldError) {
    self.init(
      operation: .charge, order: try fields.reference("order_id"),
      user: try fields.reference("user_id"), amount: try fields.amount("amount"),
      method: try fields.paymentMethodIfPresent())
  }
}

extension Instrument {
  static let fields: Set<String> = ["cardNumber", "cardCode", "expirationDate", "payment_method"]

  /// The body of `POST /payments/process/{id}`: a card, or a payment method, or nothing when the
  /// payment was made with a method.
  init(_ fields: Fields, agreed: String?) throws(FieldError) {
    if let method = try fields.paymentMethodIfPresent() {
      for key in ["cardNumber", "cardCode", "expirationDate"] where fields[key] != nil {
        throw FieldError(key, .invalid("cannot come with payment_method"))
      }
      self = .method(method)
    } else if let agreed, fields.isEmpty {
      self = .method(agreed)
    } else {
      self = .card(
        try PaymentCard(
          number: try fields.digits("cardNumber"), code: try fields.digits("cardCode"),
          expiration: try fields.string("expirationDate")))
    }
  }
}

extension Fields {
  fileprivate func amount(_ key: String) throws(FieldError) -> Amount {
    let decimal = try decimal(key)
    let code = try stringIfPresent("currency") ?? Amount.Currency.cad.rawValue
    guard let currency = Amount.Currency(rawValue: code) else {
      let known = Amount.Currency.allCases.map(\.rawValue).joined(separator: ", ")
      throw FieldError("currency", .invalid("must be one of \(known)"))
    }
    return try Amount(decimal, currency: currency, field: key)
  }

  fileprivate func paymentMethodIfPresent() throws(FieldError) -> String? {
    guard let method = try stringIfPresent("payment_method") else { return nil }
    guard (1...64).contains(method.utf8.count), method.utf8.allSatisfy({ $0 >= 0x20 }) else {
      throw FieldError(
        "payment_method", .invalid("must be 1 to 64 bytes without control characters"))
    }
    return method
  }

  /// Digits as a text, or as the number that some callers write.
  fileprivate func digits(_ key: String) throws(FieldError) -> String {
    switch try value(key) {
    case .string(let text): return text
    case .integer(let number): return String(number)
    case let other:
      throw FieldError(key, .wrongType(expected: "a string of digits", found: other.kind))
    }
  }
}
