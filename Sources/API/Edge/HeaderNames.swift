import HTTPTypes

// Literal names that are legal tokens: `HTTPField.Name` is optional only for run-time text.
extension HTTPField.Name {
  static let magasinPosition = named("Magasin-Position")
  static let idempotencyKey = named("Idempotency-Key")
  static let correlationID = named("X-Correlation-Id")
  static let entityTag = named("ETag")
  static let requestID = named("X-Request-Id")
  static let traceParent = named("traceparent")
  static let prefer = named("Prefer")
  static let preferenceApplied = named("Preference-Applied")

  private static func named(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    return name
  }
}

extension HTTPFields {
  /// The value of a header, several of one name joined by commas: what the subscript answers, at
  /// less cost where there is one or none.
  func value(of name: HTTPField.Name) -> String? {
    var found: String?
    for field in self where field.name == name {
      if found != nil { return self[name] }
      found = field.value
    }
    return found
  }
}
