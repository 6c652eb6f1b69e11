import EventSourcing
import Testing

@testable import PaymentProvider

@Suite("Charges")
struct ChargeTests {
  @Test("a charge is captured and says so in the ledger")
  func capture() async throws {
    try await withProvider { provider in
      let charge = try await provider.charge("order_1/pay/forward/1")
      #expect(charge.status == 201)
      #expect(charge["status"] == "captured")
      #expect(charge["is_paid"] == true)
      #expect(charge["order_id"] == "order_1")
      let id = try #require(charge["payment_id"]?.stringValue)
      let payment = try await provider.get("/payments/\(id)")
      #expect(payment["transaction_id"] == charge["transaction_id"])
      #expect(payment["captured_amount"]?.decimalValue?.description == "199.99")
      #expect(payment["refunded_amount"]?.decimalValue?.description == "0.00")
      #expect(payment["idempotency_key"] == "order_1/pay/forward/1")
    }
  }

  @Test("the same key and payload charge once and answer the same")
  func repetition() async throws {
    try await withProvider { provider in
      let first = try await provider.charge("k1")
      let second = try await provider.charge("k1", amount: "199.990")
      #expect(second.status == 200)
      #expect(second.isRepeated && !first.isRepeated)
      #expect(second.fields == first.fields)
      #expect(try await provider.capturedCAD() == "199.99")
    }
  }

  @Test("asking by key says what became of a charge, and does nothing")
  func asking() async throws {
    try await withProvider { provider in
      func ask(_ key: String) async throws -> ProviderClient.Answer {
        try await provider.get("/charges?key=\(key)")
      }
      let unknown = try await ask("order_1%2Fpay%2Fforward%2F1")
      #expect(unknown.status == 404)
      #expect(unknown["error_code"] == "PAYMENT_NOT_FOUND")
      let charge = try await provider.charge("order_1/pay/forward/1")
      for key in ["order_1%2Fpay%2Fforward%2F1", "order_1/pay/forward/1"] {
        let asked = try await ask(key)
        #expect(asked.status == 200)
        #expect(asked.fields == charge.fields)
      }
      let declined = try await provider.charge("k2", method: "test_insufficient_funds")
      let asked = try await ask("k2")
      #expect(asked.status == 200)
      #expect(asked["status"] == "declined" && asked["is_paid"] == false)
      #expect(asked["error_code"] == "INSUFFICIENT_FUNDS")
      #expect(asked["detail"] == declined["detail"])
      _ = try await provider.refund("order_1/pay/forward/1", key: "r1")
      #expect(try await ask("order_1/pay/forward/1")["status"] == "refunded")
      _ = try await provider.refund("k3", key: "r3")
      #expect(try await ask("k3")["status"] == "voided")
      #expect(try await provider.capturedCAD() == "199.99")
      #expect(try await provider.get("/ledger/summary")["counts"]?.objectValue?["total"] == 3)
    }
  }

  @Test("asking without a key, with a strange one or with more is refused")
  func badQuestions() async throws {
    try await withProvider { provider in
      for (query, status) in [
        ("", 400), ("?key=", 422), ("?key=a%20b", 422), ("?key=a&key=b", 422),
        ("?key=a&order_id=1", 400), ("?key=" + String(repeating: "k", count: 129), 422),
      ] {
        let answer = try await provider.get("/charges" + query)
        #expect(answer.status == status, "\(query)")
        #expect(answer["error_code"] == "INVALID_FIELD")
      }
    }
  }

  @Test("the same key with another payload is refused and charges nothing")
  func reuse() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("k1")
      let other = try await provider.charge("k1", amount: "1")
      #expect(other.status == 422)
      #expect(other["error_code"] == "IDEMPOTENCY_KEY_REUSED")
      #expect(try await provider.capturedCAD() == "199.99")
    }
  }

  @Test("a charge without a key is refused")
  func noKey() async throws {
    try await withProvider { provider in
      let charge = try await provider.post("/charges", #"{"order_id":"order_1"}"#)
      #expect(charge.status == 400)
      #expect(charge["error_code"] == "IDEMPOTENCY_KEY_MISSING")
    }
  }

  @Test("fifty charges with one key at once capture once")
  func race() async throws {
    try await withProvider { provider in
      let transactions = try await withThrowingTaskGroup(of: Value?.self) { group in
        for _ in 0..<50 {
          group.addTask { try await provider.charge("k1", method: "test_slow")["transaction_id"] }
        }
        return try await group.reduce(into: Set<Value?>()) { $0.insert($1) }
      }
      #expect(transactions.count == 1)
      #expect(try await provider.capturedCAD() == "199.99")
    }
  }

  @Test(
    "a test method that fails answers 402 with its code, every time",
    arguments: [
      ("test_card_declined", "CARD_DECLINED"), ("test_insufficient_funds", "INSUFFICIENT_FUNDS"),
      ("test_expired_card", "EXPIRED_CARD"),
    ])
  func declines(method: String, code: String) async throws {
    try await withProvider { provider in
      for _ in 0..<2 {
        let charge = try await provider.charge("k1", method: method)
        #expect(charge.status == 402)
        #expect(charge["error_code"]?.stringValue == code)
        #expect(charge["is_paid"] == false)
        #expect(charge.headers[.contentType] == "application/problem+json")
      }
      let counts = try await provider.get("/ledger/summary")["counts"]?.objectValue
      #expect(counts?["declined"] == 1 && counts?["captured"] == 0)
    }
  }

  @Test("test_slow answers late")
  func slow() async throws {
    try await withProvider(.testing { $0.slowAnswerMilliseconds = 200 }) { provider in
      let start = ContinuousClock.now
      let charge = try await provider.charge("k1", method: "test_slow")
      #expect(charge.status == 201)
      #expect(start.duration(to: .now) >= .milliseconds(200))
    }
  }

  @Test("test_timeout never answers and does not charge")
  func timeout() async throws {
    try await withProvider(over: .ahc()) { provider in
      await #expect(throws: (any Error).self) {
        try await provider.charge("k1", method: "test_timeout")
      }
      let counts = try await provider.get("/ledger/summary")["counts"]?.objectValue
      #expect(counts?["total"] == 0)
    }
  }

  @Test("test_charged_no_answer charges in silence, and a repeat learns of it")
  func chargedNoAnswer() async throws {
    try await withProvider(over: .ahc()) { provider in
      await #expect(throws: (any Error).self) {
        try await provider.charge("k1", method: "test_charged_no_answer")
      }
      #expect(try await provider.capturedCAD() == "199.99")
      let again = try await provider.charge("k1", method: "test_charged_no_answer")
      #expect(again.status == 200)
      #expect(again["status"] == "captured")
      #expect(try await provider.capturedCAD() == "199.99")
    }
  }
}

extension ProviderClient {
  func capturedCAD() async throws -> String? {
    try await totals("CAD")?["captured"]?.decimalValue?.description
  }

  func totals(_ currency: String) async throws -> Fields? {
    try await get("/ledger/summary")["by_currency"]?.objectValue?[currency]?.objectValue
  }
}
