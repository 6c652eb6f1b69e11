import EventSourcing
import Testing

@testable import PaymentProvider

@Suite("Refunds")
struct RefundTests {
  @Test("a captured charge is refunded once, however often and under whatever key it is asked")
  func once() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("c1")
      let first = try await provider.refund("c1", key: "r1")
      #expect(first.status == 200)
      #expect(first["status"] == "refunded")
      #expect(first["refunded_amount"]?.decimalValue?.description == "199.99")
      #expect(try await provider.refund("c1", key: "r1").fields == first.fields)
      #expect(try await provider.refund("c1", key: "r2").fields == first.fields)
      let totals = try #require(try await provider.totals("CAD"))
      #expect(totals["refunds"] == 1)
      #expect(totals["net"]?.decimalValue?.description == "0.00")
    }
  }

  @Test("a refund that comes before its charge leaves a tombstone that refuses the charge")
  func undoFirst() async throws {
    try await withProvider { provider in
      let refund = try await provider.refund("c1", key: "r1")
      #expect(refund["status"] == "nothing_charged")
      let charge = try await provider.charge("c1")
      #expect(charge.status == 409)
      #expect(charge["error_code"] == "VOIDED")
      #expect(try await provider.refund("c1", key: "r1").fields == refund.fields)
      #expect(try await provider.totals("CAD") == nil)
    }
  }

  @Test("a charge that was refunded is not called captured again")
  func lateCharge() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("c1")
      _ = try await provider.refund("c1", key: "r1")
      let late = try await provider.charge("c1")
      #expect(late.status == 409)
      #expect(late["error_code"] == "VOIDED")
    }
  }

  @Test("a declined charge has nothing to refund")
  func declined() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("c1", method: "test_card_declined")
      #expect(try await provider.refund("c1", key: "r1")["status"] == "nothing_charged")
      #expect(try await provider.charge("c1", method: "test_card_declined").status == 402)
    }
  }

  @Test("a refund key names one charge only")
  func reuse() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("c1")
      _ = try await provider.charge("c2")
      _ = try await provider.charge("c3", method: "test_card_declined")
      _ = try await provider.refund("c1", key: "r1")
      _ = try await provider.refund("c3", key: "r3")
      for key in ["r1", "r3"] {
        let other = try await provider.refund("c2", key: key)
        #expect(other.status == 422)
        #expect(other["error_code"] == "IDEMPOTENCY_KEY_REUSED")
      }
      #expect(try await provider.refund("unseen", key: "r1").status == 422)
      #expect(try await provider.totals("CAD")?["refunds"] == 1)
    }
  }

  @Test("charge and refund at once end in a refund or in no charge, never in a capture")
  func race() async throws {
    for round in 0..<20 {
      try await withProvider { provider in
        async let charge = provider.charge("c\(round)")
        async let one = provider.refund("c\(round)", key: "r1")
        async let two = provider.refund("c\(round)", key: "r1")
        let (charged, refunds) = try await (charge, [one, two])
        #expect([201, 409].contains(charged.status))
        #expect(refunds[0].fields == refunds[1].fields)
        let net = try await provider.totals("CAD")?["net"]?.decimalValue?.description
        #expect(net == nil || net == "0.00")
      }
    }
  }

  @Test("a payment is refunded by its id; one that was never processed is voided")
  func byID() async throws {
    try await withProvider { provider in
      let paid = try await provider.pay()
      _ = try await provider.process(paid, number: "4242424242424242")
      let refund = try await provider.post("/payments/\(paid)/refund", key: "r1")
      #expect(refund["status"] == "refunded")
      #expect(try await provider.post("/payments/\(paid)/refund").fields == refund.fields)
      #expect(try await provider.get("/payments/\(paid)")["status"] == "refunded")

      let unpaid = try await provider.pay()
      #expect(try await provider.post("/payments/\(unpaid)/refund", key: "r1").status == 422)
      let undone = try await provider.post("/payments/\(unpaid)/refund", key: "r2")
      #expect(undone["status"] == "nothing_charged")
      let late = try await provider.process(unpaid, number: "4242424242424242")
      #expect(late.status == 409)
    }
  }

  @Test("a refund of an unknown payment is 404")
  func unknown() async throws {
    try await withProvider { provider in
      let refund = try await provider.post("/payments/pay_none/refund", key: "r1")
      #expect(refund.status == 404)
    }
  }
}
