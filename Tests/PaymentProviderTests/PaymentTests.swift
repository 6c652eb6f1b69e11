import EventSourcing
import Testing

@testable import PaymentProvider

@Suite("Payments")
struct PaymentTests {
  @Test("a payment is made, shown, processed with a card and shown as paid")
  func lifecycle() async throws {
    try await withProvider { provider in
      let id = try await provider.pay()
      let made = try await provider.get("/payments/\(id)")
      #expect(made["status"] == "created" && made["is_paid"] == false)
      #expect(made["order_id"] == 42 && made["user_id"] == 7 && made["currency"] == "CAD")
      let paid = try await provider.process(id, number: "4242 4242 4242 4242")
      #expect(paid.status == 200)
      #expect(paid["is_paid"] == true && paid["order_id"] == 42)
      let shown = try await provider.get("/payments/\(id)")
      #expect(shown["status"] == "captured" && shown["card_ending"] == "4242")
      #expect(shown["payment_method"] == "card")
      #expect(shown["transaction_id"] == paid["transaction_id"])
    }
  }

  @Test("the same key gives the same payment, and refuses another payload")
  func idempotency() async throws {
    try await withProvider { provider in
      let id = try await provider.pay(key: "p1")
      let body = #"{"order_id":42,"user_id":7,"currency":"CAD","total_amount":20.00}"#
      let again = try await provider.post("/payments", key: "p1", body)
      #expect(again.status == 200)
      #expect(again["payment_id"]?.stringValue == id)
      let other = try await provider.post(
        "/payments", key: "p1", #"{"order_id":42,"user_id":7,"total_amount":21}"#)
      #expect(other.status == 422)
      // The key of a payment does not serve for a charge.
      #expect(try await provider.charge("p1").status == 422)
    }
  }

  @Test("without a key every request makes a payment")
  func keyless() async throws {
    try await withProvider { provider in
      let first = try await provider.pay()
      let second = try await provider.pay()
      #expect(first != second)
    }
  }

  @Test("processing twice answers the first result, whatever it is paid with")
  func processTwice() async throws {
    try await withProvider { provider in
      let good = try await provider.pay()
      let first = try await provider.process(good, number: "4242424242424242")
      #expect(try await provider.process(good, number: "4000000000000002").fields == first.fields)

      let bad = try await provider.pay()
      for number in ["4000000000009995", "4242424242424242"] {
        let answer = try await provider.process(bad, number: number)
        #expect(answer.status == 402)
        #expect(answer["error_code"] == "INSUFFICIENT_FUNDS")
      }
    }
  }

  @Test("fifty attempts to process at once capture once")
  func race() async throws {
    try await withProvider { provider in
      let id = try await provider.pay()
      let transactions = try await withThrowingTaskGroup(of: Value?.self) { group in
        for _ in 0..<50 {
          group.addTask {
            try await provider.process(id, number: "4242424242424242")["transaction_id"]
          }
        }
        return try await group.reduce(into: Set<Value?>()) { $0.insert($1) }
      }
      #expect(transactions.count == 1)
      #expect(try await provider.capturedCAD() == "20.00")
    }
  }

  @Test("a payment method is taken from the payment or from the body")
  func methods() async throws {
    try await withProvider { provider in
      let agreed = try await provider.pay(extra: #","payment_method":"test_card_declined""#)
      #expect(try await provider.post("/payments/process/\(agreed)").status == 402)
      let named = try await provider.pay()
      let paid = try await provider.post(
        "/payments/process/\(named)", #"{"payment_method":"paypal"}"#)
      #expect(paid["is_paid"] == true)
      let neither = try await provider.pay()
      let answer = try await provider.post("/payments/process/\(neither)")
      #expect(answer.status == 400 && answer["field"] == "cardNumber")
      let both = try await provider.post(
        "/payments/process/\(neither)", #"{"payment_method":"paypal","cardCode":"123"}"#)
      #expect(both.status == 422 && both["field"] == "cardCode")
    }
  }

  @Test("payments are listed by order, newest first, page by page")
  func list() async throws {
    try await withProvider { provider in
      var ids: [Value] = []
      for _ in 0..<5 { ids.append(.string(try await provider.pay())) }
      _ = try await provider.charge("c1")
      let first = try await provider.get("/payments?order_id=42&limit=3")
      #expect(first["count"] == 3)
      let cursor = try #require(first["next_cursor"]?.stringValue)
      let second = try await provider.get("/payments?order_id=42&limit=3&cursor=\(cursor)")
      #expect(second["next_cursor"] == .null)
      let listed = [first, second].flatMap { $0["payments"]?.arrayValue ?? [] }
        .compactMap { $0.objectValue?["id"] }
      #expect(Set(listed) == Set(ids) && listed.count == 5)
      #expect(try await provider.get("/payments")["count"] == 6)
      #expect(try await provider.get("/payments?order_id=order_1")["count"] == 1)
      #expect(try await provider.get("/payments?limit=0").status == 422)
      #expect(try await provider.get("/payments?colour=red").status == 400)
    }
  }

  @Test("an unknown payment is 404")
  func unknown() async throws {
    try await withProvider { provider in
      let answer = try await provider.get("/payments/pay_none")
      #expect(answer.status == 404 && answer["error_code"] == "PAYMENT_NOT_FOUND")
      #expect(try await provider.process("nothing", number: "4242424242424242").status == 404)
    }
  }
}

@Suite("Cards")
struct CardTests {
  @Test(
    "a test card fails with its code",
    arguments: [
      ("4000000000000002", "CARD_DECLINED"), ("4000000000009995", "INSUFFICIENT_FUNDS"),
      ("4000000000000069", "EXPIRED_CARD"),
    ])
  func testCards(number: String, code: String) async throws {
    try await withProvider { provider in
      let answer = try await provider.process(try await provider.pay(), number: number)
      #expect(answer.status == 402)
      #expect(answer["error_code"]?.stringValue == code)
    }
  }

  @Test(
    "a card whose month is over has expired",
    arguments: [
      ("12/39", 200), ("12/2039", 200), ("2039-12", 200), ("2039-12-31", 200), ("01/20", 402),
      ("2020-01-05", 402), ("13/39", 422), ("soon", 422), ("2039-02-30", 422), ("1/39", 422),
    ])
  func expiry(date: String, status: Int) async throws {
    try await withProvider { provider in
      let id = try await provider.pay()
      let answer = try await provider.process(id, number: "4242424242424242", expires: date)
      #expect(answer.status == status)
      if status == 402 { #expect(answer["error_code"] == "EXPIRED_CARD") }
      if status == 422 { #expect(answer["field"] == "expirationDate") }
    }
  }

  @Test("a card pays to the end of its month")
  func lastDay() throws {
    let card = try PaymentCard(number: "4242424242424242", code: "123", expiration: "02/28")
    #expect(!card.isExpired(at: try #require(Timestamp(iso8601: "2028-02-29T23:59:59Z"))))
    #expect(card.isExpired(at: try #require(Timestamp(iso8601: "2028-03-01"))))
  }

  @Test(
    "a number that no card has is refused and leaves the payment unprocessed",
    arguments: ["4242424242424241", "9999999999999", "42", "4242x42424242424", ""])
  func luhn(number: String) async throws {
    try await withProvider { provider in
      let id = try await provider.pay()
      let answer = try await provider.process(id, number: number)
      #expect(answer.status == 422 && answer["field"] == "cardNumber")
      #expect(try await provider.get("/payments/\(id)")["status"] == "created")
    }
  }
}
