import HTTPTypes

// Literal names that are legal tokens: `HTTPField.Name` is optional only for run-time text.
extension HTTPField.Name {
  static let magasinPosition = named("Magasin-Position")
  static let idempotencyKey = named("Idempotency-Key")
  static let correlationID = named("X-Correlation-Id")
  static let requestID = named("X-Request-Id")
  static let traceParent = named("traceparent")
  static let prefer = named("Prefer")
  static let preferenceApplied = named("Preference-Applied")

  private static func named(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    return name
  }
}
