import EventSourcing
import Testing

@testable import PaymentProvider

@Suite("The provider's door")
struct DoorTests {
  @Test(
    "a body that is not as it should be is refused with its field, and leaves the ledger as it was",
    arguments: [
      (#"{"user_id":7,"order_id":1,"total_amount":0}"#, 422, "total_amount"),
      (#"{"user_id":7,"order_id":1,"total_amount":-5}"#, 422, "total_amount"),
      (#"{"user_id":7,"order_id":1,"total_amount":1.999}"#, 422, "total_amount"),
      (#"{"user_id":7,"order_id":1,"total_amount":99999999999999}"#, 422, "total_amount"),
      (#"{"user_id":7,"order_id":1,"total_amount":"5"}"#, 400, "total_amount"),
      (#"{"user_id":7,"order_id":1,"total_amount":5,"currency":"XXX"}"#, 422, "currency"),
      (#"{"user_id":7,"order_id":1,"total_amount":5.5,"currency":"JPY"}"#, 422, "total_amount"),
      (#"{"user_id":7,"total_amount":5}"#, 400, "order_id"),
      (#"{"user_id":7,"order_id":null,"total_amount":5}"#, 400, "order_id"),
      (#"{"user_id":7.0,"order_id":1,"total_amount":5}"#, 400, "user_id"),
      (#"{"user_id":7,"order_id":"a b","total_amount":5}"#, 422, "order_id"),
      (#"{"user_id":7,"order_id":{"$gt":""},"total_amount":5}"#, 400, "order_id"),
      (#"{"user_id":7,"order_id":1,"total_amount":5,"is_paid":true}"#, 400, "is_paid"),
    ])
  func fields(body: String, status: Int, field: String) async throws {
    try await withProvider { provider in
      let answer = try await provider.post("/payments", body)
      #expect(answer.status == status)
      #expect(answer["field"]?.stringValue == field)
      #expect(answer["type"] == "urn:magasin:payments:invalid-field")
      #expect(answer.headers[.contentType] == "application/problem+json")
      #expect(try await provider.get("/payments")["count"] == 0)
    }
  }

  @Test(
    "what is not strict JSON is refused",
    arguments: [
      "{", "[]", "7", #"{"user_id":1,"user_id":2}"#, #"{"total_amount":1e2}"#,
      #"{"user_id":7,"order_id":1,"total_amount":5} x"#,
    ])
  func syntax(body: String) async throws {
    try await withProvider { provider in
      let answer = try await provider.post("/payments", body)
      #expect(answer.status == 400 && answer["error_code"] == "MALFORMED_BODY")
    }
  }

  @Test("a body of more than 64 KiB is refused")
  func large() async throws {
    try await withProvider { provider in
      let padding = String(repeating: " ", count: 64 * 1024)
      let answer = try await provider.post("/payments", "{" + padding + "}")
      #expect(answer.status == 413 && answer["error_code"] == "BODY_TOO_LARGE")
    }
  }

  @Test("a key is one run of visible characters", arguments: ["", "a b", "é"])
  func keys(key: String) async throws {
    try await withProvider { provider in
      let answer = try await provider.charge(key)
      #expect(answer.status == 422 && answer["field"] == "Idempotency-Key")
    }
  }

  @Test("yen have no digits after the point")
  func yen() async throws {
    try await withProvider { provider in
      _ = try await provider.post(
        "/charges", key: "k1",
        #"{"order_id":"o","user_id":"u","amount":500,"currency":"JPY","payment_method":"card"}"#)
      #expect(try await provider.totals("JPY")?["captured"] == 500)
    }
  }

  @Test("index, health and unknown paths answer in JSON")
  func index() async throws {
    try await withProvider { provider in
      let index = try await provider.get("/")
      #expect(index["service"] == "payments" && index["status"] == "up")
      #expect(try await provider.get("/health/live").status == 200)
      #expect(try await provider.get("/health/ready").status == 200)
      let lost = try await provider.get("/nowhere")
      #expect(lost.status == 404 && lost["error_code"] == "NOT_FOUND")
    }
  }

  @Test("a ledger that cannot be reached is 503, with the way out")
  func brokenLedger() async throws {
    try await withProvider(ledger: BrokenLedger()) { provider in
      let charge = try await provider.charge("k1")
      #expect(charge.status == 503)
      #expect(charge["error_code"] == "LEDGER_UNAVAILABLE" && charge["outcome"] == "unknown")
      #expect(try await provider.get("/health/ready").status == 503)
      #expect(try await provider.get("/health/live").status == 200)
    }
  }
}

private struct BrokenLedger: PaymentLedger {
  private let failure = LedgerUnavailable(reason: "broken on purpose")

  func prepare() async throws {}
  func ping() async throws { throw failure }
  func insert(_ payment: PaymentRecord) async throws -> LedgerInsertion { throw failure }
  func replace(_ payment: PaymentRecord) async throws -> LedgerReplacement { throw failure }
  func payment(id: String) async throws -> PaymentRecord? { throw failure }
  func payment(key: String) async throws -> PaymentRecord? { throw failure }
  func payment(refundKey: String) async throws -> PaymentRecord? { throw failure }
  func payments(_ query: PaymentQuery) async throws -> [PaymentRecord] { throw failure }
  func summary() async throws -> LedgerSummary { throw failure }
}
