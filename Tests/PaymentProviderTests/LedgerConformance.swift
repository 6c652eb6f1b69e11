import EventSourcing
import Testing

@testable import PaymentProvider

/// What every ledger promises. Each check wants an empty one.
enum LedgerConformance {
  struct Check: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let run: @Sendable (any PaymentLedger) async throws -> Void

    init(_ name: String, _ run: @escaping @Sendable (any PaymentLedger) async throws -> Void) {
      testDescription = name
      self.run = run
    }
  }

  static let checks: [Check] = [
    Check("a payment comes back as it was stored", roundTrip),
    Check("a key is taken once, and the holder is told", keyTaken),
    Check("a refund key is taken once", refundKeyTaken),
    Check("payments without a key do not collide", keyless),
    Check("a change is stored from the revision it was made on, and from no other", revisions),
    Check("of fifty inserts of one key at once one wins", insertRace),
    Check("of twenty changes of one payment at once one wins", replaceRace),
    Check("payments are found by order and paged, newest first", queries),
    Check("the summary adds up by currency", summary),
    Check("a whole provider keeps its promises on it under racing requests", provider),
  ]

  private static let time = Timestamp(millisecondsSinceEpoch: 1_800_000_000_123)

  private static func terms(
    order: Reference = .text("order_1"), minorUnits: Int64 = 19_999,
    currency: Amount.Currency = .cad
  ) -> PaymentTerms {
    PaymentTerms(
      operation: .charge, order: order, user: .number(7),
      amount: Amount(minorUnits: minorUnits, currency: currency), method: "card")
  }

  private static func captured(
    _ terms: PaymentTerms, key: String?, at time: Timestamp = time
  ) -> PaymentRecord {
    var payment = PaymentRecord(terms: terms, key: key, at: time)
    payment.process(.capture, with: .method("card"), at: time.adding(milliseconds: 5))
    return payment
  }

  private static func roundTrip(_ ledger: any PaymentLedger) async throws {
    let card = try PaymentCard(number: "4000000000000002", code: "123", expiration: "12/39")
    var declined = PaymentRecord(terms: terms(order: .number(42)), key: nil, at: time)
    declined.process(.decline(.cardDeclined), with: .card(card), at: time)
    var refunded = captured(terms(currency: .jpy), key: "order_1/pay/forward/1")
    _ = refunded.undo(refundKey: "order_1/pay/undo/1", at: time.adding(seconds: 1))
    let tombstone = PaymentRecord.tombstone(key: "late", refundKey: "early", at: time)
    for payment in [declined, refunded, tombstone] {
      #expect(try await ledger.insert(payment) == .inserted)
      #expect(try await ledger.payment(id: payment.id) == payment)
    }
    #expect(try await ledger.payment(key: "order_1/pay/forward/1") == refunded)
    #expect(try await ledger.payment(refundKey: "early") == tombstone)
    #expect(try await ledger.payment(key: "early") == nil)
    #expect(try await ledger.payment(id: "pay_none") == nil)
  }

  private static func keyTaken(_ ledger: any PaymentLedger) async throws {
    let first = captured(terms(), key: "k1")
    #expect(try await ledger.insert(first) == .inserted)
    #expect(try await ledger.insert(captured(terms(), key: "k1")) == .keyTaken(first))
    #expect(try await ledger.payments(PaymentQuery()).count == 1)
  }

  private static func refundKeyTaken(_ ledger: any PaymentLedger) async throws {
    let first = PaymentRecord.tombstone(key: "c1", refundKey: "r1", at: time)
    #expect(try await ledger.insert(first) == .inserted)
    let second = PaymentRecord.tombstone(key: "c2", refundKey: "r1", at: time)
    #expect(try await ledger.insert(second) == .refundKeyTaken(first))
    var third = captured(terms(), key: "c3")
    #expect(try await ledger.insert(third) == .inserted)
    _ = third.undo(refundKey: "r1", at: time)
    #expect(try await ledger.replace(third) == .refundKeyTaken)
    #expect(try await ledger.payment(key: "c3")?.status == .captured)
  }

  private static func keyless(_ ledger: any PaymentLedger) async throws {
    for _ in 0..<3 {
      let payment = PaymentRecord(terms: terms(), key: nil, at: time)
      #expect(try await ledger.insert(payment) == .inserted)
    }
    #expect(try await ledger.payments(PaymentQuery()).count == 3)
  }

  private static func revisions(_ ledger: any PaymentLedger) async throws {
    let made = PaymentRecord(terms: terms(), key: nil, at: time)
    #expect(try await ledger.insert(made) == .inserted)
    var paid = made
    paid.process(.capture, with: .method("card"), at: time)
    #expect(try await ledger.replace(paid) == .replaced)
    #expect(try await ledger.replace(paid) == .outdated)
    let stored = try #require(try await ledger.payment(id: made.id))
    #expect(stored.revision == made.revision + 1 && stored.isPaid)
    #expect(
      try await ledger.replace(PaymentRecord(terms: terms(), key: nil, at: time)) == .outdated)
  }

  private static func insertRace(_ ledger: any PaymentLedger) async throws {
    let outcomes = try await concurrently(50) { _ in
      try await ledger.insert(captured(terms(), key: "k1"))
    }
    let winner = try await ledger.payment(key: "k1")
    #expect(outcomes.count { $0 == .inserted } == 1)
    #expect(outcomes.count { winner.map(LedgerInsertion.keyTaken) == $0 } == 49)
  }

  private static func replaceRace(_ ledger: any PaymentLedger) async throws {
    let made = PaymentRecord(terms: terms(), key: nil, at: time)
    #expect(try await ledger.insert(made) == .inserted)
    let outcomes = try await concurrently(20) { number in
      var changed = made
      changed.process(.capture, with: .method("method_\(number)"), at: time)
      return try await ledger.replace(changed)
    }
    #expect(outcomes.count { $0 == .replaced } == 1)
    #expect(outcomes.count { $0 == .outdated } == 19)
  }

  private static func queries(_ ledger: any PaymentLedger) async throws {
    var ids: [String] = []
    for number in 0..<6 {
      let order: Reference = number.isMultiple(of: 2) ? .number(42) : .text("42")
      let later = time.adding(milliseconds: Int64(number))
      let payment = captured(terms(order: order), key: nil, at: later)
      ids.insert(payment.id, at: 0)
      #expect(try await ledger.insert(payment) == .inserted)
    }
    _ = try await ledger.insert(captured(terms(order: .text("other")), key: nil))
    _ = try await ledger.insert(.tombstone(key: "c", refundKey: "r", at: time))
    let first = try await ledger.payments(PaymentQuery(order: "42", limit: 4))
    #expect(first.map(\.id) == Array(ids.prefix(4)))
    let rest = try await ledger.payments(PaymentQuery(order: "42", before: ids[3], limit: 4))
    #expect(rest.map(\.id) == Array(ids.suffix(2)))
    #expect(try await ledger.payments(PaymentQuery(limit: 100)).count == 8)
  }

  private static func summary(_ ledger: any PaymentLedger) async throws {
    #expect(try await ledger.summary() == LedgerSummary())
    _ = try await ledger.insert(captured(terms(minorUnits: 100), key: nil))
    _ = try await ledger.insert(captured(terms(minorUnits: 5, currency: .jpy), key: nil))
    var refunded = captured(terms(minorUnits: 40), key: nil)
    _ = refunded.undo(refundKey: nil, at: time)
    _ = try await ledger.insert(refunded)
    _ = try await ledger.insert(PaymentRecord(terms: terms(), key: nil, at: time))
    _ = try await ledger.insert(.tombstone(key: "c", refundKey: "r", at: time))
    let summary = try await ledger.summary()
    #expect(summary.counts == [.captured: 2, .refunded: 1, .created: 1, .voided: 1])
    #expect(summary.totals[.cad]?.captured == 140 && summary.totals[.cad]?.net == 100)
    #expect(summary.totals[.cad]?.captures == 2 && summary.totals[.cad]?.refunds == 1)
    #expect(summary.totals[.jpy]?.captured == 5 && summary.totals[.usd] == nil)
  }

  private static func provider(_ ledger: any PaymentLedger) async throws {
    try await withProvider(ledger: ledger) { provider in
      _ = try await concurrently(60) { number in
        let key = number % 6
        // Charges and refunds race for keys 0 to 2; the others are only charged.
        if key < 3, number / 6 % 4 == 3 {
          let refund = try await provider.refund("c\(key)", key: "r\(key)")
          #expect(refund.status == 200)
        } else {
          let charge = try await provider.charge("c\(key)")
          #expect([200, 201, 409].contains(charge.status))
        }
      }
    }
    for key in 0..<6 {
      let payment = try #require(try await ledger.payment(key: "c\(key)"))
      #expect(key < 3 ? !payment.isPaid : payment.status == .captured)
    }
    #expect(try await ledger.summary().totals[.cad]?.net == 3 * 19_999)
  }

  private static func concurrently<Result: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Result
  ) async throws -> [Result] {
    try await withThrowingTaskGroup(of: Result.self) { group in
      for number in 0..<count { group.addTask { try await body(number) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
  }
}
