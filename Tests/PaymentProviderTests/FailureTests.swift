import EventSourcing
import Testing

@testable import PaymentProvider

@Suite("Simulated failures")
struct FailureTests {
  @Test("one request makes every payment fail, and one mends it")
  func switchOn() async throws {
    try await withProvider { provider in
      let changed = try await provider.put(
        "/configuration", #"{"failure_rate":1,"failure_codes":["INSUFFICIENT_FUNDS"]}"#)
      #expect(changed.status == 200)
      #expect(changed["failure_rate"] == 1 && changed["latency_ms"] == 0)
      let charge = try await provider.charge("k1")
      #expect(charge.status == 402 && charge["error_code"] == "INSUFFICIENT_FUNDS")
      _ = try await provider.put("/configuration", #"{"failure_rate":0}"#)
      #expect(try await provider.charge("k2").status == 201)
      #expect(try await provider.get("/configuration")["failure_rate"] == 0)
    }
  }

  @Test("an outage strikes refunds too, and changes nothing")
  func outage() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("c1")
      _ = try await provider.put(
        "/configuration", #"{"failure_rate":1.0,"failure_codes":["SERVICE_UNAVAILABLE"]}"#)
      #expect(try await provider.charge("c2").status == 503)
      #expect(try await provider.refund("c1", key: "r1").status == 503)
      // What was done before is still known.
      #expect(try await provider.charge("c1").status == 200)
      _ = try await provider.put("/configuration", #"{"failure_rate":0}"#)
      #expect(try await provider.refund("c1", key: "r1")["status"] == "refunded")
    }
  }

  @Test("a lie is found out by asking again")
  func lie() async throws {
    try await withProvider { provider in
      _ = try await provider.put(
        "/configuration", #"{"failure_rate":1,"failure_codes":["DONE_BUT_ERROR"]}"#)
      #expect(try await provider.charge("c1").status == 500)
      #expect(try await provider.charge("c1")["status"] == "captured")
      #expect(try await provider.refund("c1", key: "r1").status == 500)
      #expect(try await provider.refund("c1", key: "r1")["status"] == "refunded")
    }
  }

  @Test("declines are not for refunds")
  func refundsAreNotDeclined() async throws {
    try await withProvider { provider in
      _ = try await provider.charge("c1")
      _ = try await provider.put("/configuration", #"{"failure_rate":1}"#)
      #expect(try await provider.refund("c1", key: "r1")["status"] == "refunded")
    }
  }

  @Test("the same seed fails the same payments")
  func seeded() async throws {
    let (first, second, other) = (
      try await statuses(1), try await statuses(1), try await statuses(2)
    )
    #expect(first == second && first != other)
    #expect((5...35).contains(first.count { $0 == 402 }))
  }

  private func statuses(_ seed: UInt64) async throws -> [Int] {
    let ledger = InMemoryLedger()
    let configuration = PaymentProviderConfiguration.testing {
      $0.seed = seed
      $0.failureRate = FailureRate("0.5") ?? .never
    }
    try await withProvider(configuration, ledger: ledger) { provider in
      for number in 0..<40 { _ = try await provider.charge("k\(number)") }
    }
    var statuses: [Int] = []
    for number in 0..<40 {
      statuses.append(try await ledger.payment(key: "k\(number)")?.isPaid == true ? 201 : 402)
    }
    return statuses
  }

  @Test("latency delays what moves money, and not what looks")
  func latency() async throws {
    try await withProvider(.testing { $0.latencyMilliseconds = 1500 }) { provider in
      let start = ContinuousClock.now
      _ = try await provider.charge("k1")
      #expect(start.duration(to: .now) >= .milliseconds(1500))
      let look = ContinuousClock.now
      _ = try await provider.get("/payments")
      #expect(look.duration(to: .now) < .milliseconds(1500))
    }
  }

  @Test(
    "a setting that cannot be is refused and changes nothing",
    arguments: [
      (#"{"failure_rate":1.5}"#, "failure_rate", 422), (#"{"latency_ms":-1}"#, "latency_ms", 422),
      (#"{"failure_rate":"1"}"#, "failure_rate", 400),
      (#"{"latency_ms":5,"failure_codes":["OOPS"]}"#, "failure_codes[0]", 422),
      (#"{"failure_codes":[]}"#, "failure_codes", 422), (#"{"speed":1}"#, "speed", 400),
    ])
  func refusals(body: String, field: String, status: Int) async throws {
    try await withProvider { provider in
      let before = try await provider.get("/configuration").fields
      let answer = try await provider.put("/configuration", body)
      #expect(answer.status == status && answer["field"]?.stringValue == field)
      #expect(try await provider.get("/configuration").fields == before)
    }
  }

  @Test("a failure rate is exact")
  func rates() {
    #expect(FailureRate("0.25")?.partsPerMillion == 250_000)
    #expect(FailureRate("0.25")?.description == "0.25")
    #expect(FailureRate("1.000000")?.description == "1")
    #expect(FailureRate("1.1") == nil && FailureRate("-0.1") == nil)
    #expect(FailureRate("0.0000001") == nil && FailureRate("half") == nil)
  }
}
