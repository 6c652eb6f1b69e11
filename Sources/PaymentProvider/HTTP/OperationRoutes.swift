import EventSourcing
import Hummingbird

/// The index, health, the ledger's totals, and the switch that makes payments fail.
struct OperationRoutes: Sendable {
  let cashier: Cashier

  func add(to router: Router<ProviderContext>) {
    router.get("/") { _, _ in Response.json(Self.index) }
    router.get("health/live") { _, _ in Response.json(["status": "up"]) }
    router.get("health/ready") { _, _ in
      try await cashier.ledger.ping()
      return Response.json(["status": "up"])
    }
    router.get("ledger/summary") { _, _ in
      Response.json(try await cashier.ledger.summary().json)
    }
    router.get("configuration") { _, _ in Response.json(cashier.simulator.settings.json) }
    router.put("configuration") { request, _ in
      let fields = try await request.fields(known: Simulator.Settings.fields)
      let settings = try cashier.simulator.changeSettings { settings throws(FieldError) in
        try settings.change(fields)
      }
      return Response.json(settings.json)
    }
  }

  private static let index: Fields = [
    "service": "payments", "status": "up",
    "endpoints": [
      "POST /payments", "POST /payments/process/{id}", "GET /payments/{id}",
      "GET /payments?order_id=&limit=&cursor=", "POST /payments/{id}/refund", "POST /charges",
      "GET /charges?key=", "POST /charges/refund", "GET /ledger/summary", "GET /configuration",
      "PUT /configuration", "GET /health/live", "GET /health/ready",
    ],
    "test_methods": [
      "test_card_declined": "fails with CARD_DECLINED",
      "test_insufficient_funds": "fails with INSUFFICIENT_FUNDS",
      "test_expired_card": "fails with EXPIRED_CARD",
      "test_slow": "answers after 3 s",
      "test_timeout": "never answers and does not charge",
      "test_charged_no_answer": "charges and never answers the first time",
    ],
    "test_cards": [
      "4000000000000002": "CARD_DECLINED", "4000000000009995": "INSUFFICIENT_FUNDS",
      "4000000000000069": "EXPIRED_CARD", "4242424242424242": "pays",
    ],
    "failure_codes": .array(FailureCode.allCases.map { .string($0.rawValue) }),
  ]
}

extension Simulator.Settings {
  static let fields: Set<String> = ["latency_ms", "failure_rate", "failure_codes"]

  /// Takes the fields that are there and leaves the others. Throws ``FieldError``.
  mutating func change(_ fields: Fields) throws(FieldError) {
    if let milliseconds = try fields.integerIfPresent("latency_ms") {
      let allowed = PaymentProviderConfiguration.latencyMillisecondsAllowed
      guard allowed.contains(milliseconds) else {
        throw FieldError("latency_ms", .invalid("must be 0 to \(allowed.upperBound)"))
      }
      latencyMilliseconds = milliseconds
    }
    if let decimal = try fields.decimalIfPresent("failure_rate") {
      guard let rate = FailureRate(decimal) else {
        throw FieldError("failure_rate", .invalid("must be 0 to 1, with at most 6 digits"))
      }
      failureRate = rate
    }
    if fields["failure_codes"] != nil {
      failureCodes = try Self.codes(try fields.array("failure_codes"))
    }
  }

  private static func codes(_ values: [Value]) throws(FieldError) -> [FailureCode] {
    var codes: [FailureCode] = []
    for (index, value) in values.enumerated() {
      guard let code = value.stringValue.flatMap(FailureCode.init(rawValue:)) else {
        let known = FailureCode.allCases.map(\.rawValue).joined(separator: ", ")
        throw FieldError("failure_codes[\(index)]", .invalid("must be one of \(known)"))
      }
      codes.append(code)
    }
    guard !codes.isEmpty else {
      throw FieldError("failure_codes", .invalid("must name at least one code"))
    }
    return codes
  }
}
