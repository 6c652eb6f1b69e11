import Commerce
import EventSourcing
import Hummingbird
import HummingbirdTesting
import Logging
import PaymentProvider
import Sagas
import Testing

@testable import PaymentClient

/// Against the payment service itself, over the loopback.
@Suite("The payment gateway")
struct HTTPPaymentGatewayTests {
  private static let order = OrderID(CommandID(derivedFrom: "order"))
  private static let amount = Money(minorUnits: 19_999, currency: .cad)

  private func request(_ effect: String, method: String = "card") -> ChargeRequest {
    ChargeRequest(
      effectID: effect, orderID: Self.order, userID: CustomerID(7), amount: Self.amount,
      paymentMethod: method)
  }

  /// Runs `body` with a gateway to a server, and closes its connections afterwards.
  private func withGateway(
    to url: String, attemptTimeoutMilliseconds: Int64 = 5_000,
    _ body: @Sendable (HTTPPaymentGateway) async throws -> Void
  ) async throws {
    let gateway = HTTPPaymentGateway(
      baseURL: url, attemptTimeoutMilliseconds: attemptTimeoutMilliseconds)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await gateway.run() }
      let outcome: Result<Void, any Error>
      do {
        outcome = .success(try await body(gateway))
      } catch {
        outcome = .failure(error)
      }
      group.cancelAll()
      try await group.waitForAll()
      try outcome.get()
    }
  }

  private func withProvider(
    attemptTimeoutMilliseconds: Int64 = 5_000,
    _ body: @Sendable (HTTPPaymentGateway) async throws -> Void
  ) async throws {
    var configuration = PaymentProviderConfiguration(host: "127.0.0.1", port: 0)
    configuration.heldConnectionMilliseconds = 1_000
    let server = PaymentProviderServer(
      configuration: configuration, ledger: InMemoryLedger(), logger: .silent)
    try await server.application().test(.live) { client in
      let port = try #require(client.port)
      try await withGateway(
        to: "http://127.0.0.1:\(port)/", attemptTimeoutMilliseconds: attemptTimeoutMilliseconds,
        body)
    }
  }

  @Test("a charge is made once, and the provider says so when it is asked")
  func charges() async throws {
    try await withProvider { gateway in
      let effect = "\(Self.order)/pay/forward/1"
      #expect(try await gateway.outcome(of: effect) == nil)
      let outcome = try await gateway.charge(request(effect))
      guard case .charged(let transaction) = outcome else {
        Issue.record("not charged: \(outcome)")
        return
      }
      #expect(!transaction.isEmpty)
      #expect(try await gateway.charge(request(effect)) == outcome)
      #expect(try await gateway.outcome(of: effect) == outcome)
    }
  }

  @Test("an effect id of any visible characters arrives as it is")
  func strangeKeys() async throws {
    try await withProvider { gateway in
      for effect in ["a/b?c&key=d#e", "100%25", "a+b=c;d,e"] {
        let outcome = try await gateway.charge(request(effect))
        #expect(try await gateway.outcome(of: effect) == outcome)
      }
    }
  }

  @Test("a declined charge is declined whenever it is asked for")
  func declines() async throws {
    try await withProvider { gateway in
      let outcome = try await gateway.charge(request("e", method: "test_expired_card"))
      guard case .declined(code: "EXPIRED_CARD", reason: let reason) = outcome else {
        Issue.record("not declined: \(outcome)")
        return
      }
      #expect(!reason.isEmpty)
      #expect(try await gateway.outcome(of: "e") == outcome)
    }
  }

  @Test("what was refunded or undone in advance counts as declined")
  func undone() async throws {
    try await withProvider { gateway in
      _ = try await gateway.charge(request("e"))
      let refund = try await gateway.refund(
        effectID: "e", refundEffectID: "r", amount: Self.amount)
      guard case .refunded = refund else {
        Issue.record("not refunded: \(refund)")
        return
      }
      #expect(
        try await gateway.refund(effectID: "e", refundEffectID: "r", amount: Self.amount)
          == refund)
      #expect(
        try await gateway.refund(effectID: "late", refundEffectID: "r2", amount: Self.amount)
          == .nothingCharged)
      #expect(try await isVoided(gateway.charge(request("late"))))
      for effect in ["e", "late"] {
        #expect(try await gateway.outcome(of: effect).map(isVoided) == true)
      }
    }
  }

  private func isVoided(_ outcome: ChargeOutcome) -> Bool {
    if case .declined(code: "VOIDED", _) = outcome { true } else { false }
  }

  /// Whether a failure leaves doubt about what was done; nil when it is no failure of a gateway.
  private func doubt(_ attempt: @Sendable () async throws -> Void) async -> Bool? {
    do {
      try await attempt()
      return nil
    } catch PaymentGatewayError.unknown {
      return true
    } catch PaymentGatewayError.notSent {
      return false
    } catch {
      return nil
    }
  }

  @Test("a provider that does not answer in time leaves doubt, and can be asked afterwards")
  func noAnswer() async throws {
    try await withProvider(attemptTimeoutMilliseconds: 1_000) { gateway in
      for (effect, method, isCharged) in [
        ("done", "test_charged_no_answer", true), ("not done", "test_timeout", false),
      ] {
        let effect = effect.replacing(" ", with: "_")
        let doubt = await doubt { _ = try await gateway.charge(request(effect, method: method)) }
        #expect(doubt == true)
        let outcome = try await gateway.outcome(of: effect)
        #expect((outcome != nil) == isCharged)
      }
    }
  }

  @Test("where nobody listens nothing was sent")
  func notSent() async throws {
    let port = try await unusedPort()
    try await withGateway(to: "http://127.0.0.1:\(port)") { gateway in
      let attempts: [@Sendable () async throws -> Void] = [
        { _ = try await gateway.charge(request("e")) },
        { _ = try await gateway.outcome(of: "e") },
        { _ = try await gateway.refund(effectID: "e", refundEffectID: "r", amount: Self.amount) },
      ]
      for attempt in attempts {
        #expect(await doubt(attempt) == false)
      }
    }
  }

  /// Of a server that has just ended.
  private func unusedPort() async throws -> Int {
    let application = Application(
      router: Router(), configuration: ApplicationConfiguration(address: .hostname(port: 0)),
      logger: .silent)
    return try await application.test(.live) { try #require($0.port) }
  }

  @Test("a server that is no payment provider leaves doubt")
  func stranger() async throws {
    let router = Router()
    router.post("charges") { _, _ in "captured, believe me" }
    let application = Application(
      router: router, configuration: ApplicationConfiguration(address: .hostname(port: 0)),
      logger: .silent)
    try await application.test(.live) { client in
      let port = try #require(client.port)
      try await withGateway(to: "http://127.0.0.1:\(port)") { gateway in
        let attempts: [@Sendable () async throws -> Void] = [
          { _ = try await gateway.charge(request("e")) },
          // Its 404 does not mean that a charge is not known.
          { _ = try await gateway.outcome(of: "e") },
          {
            _ = try await gateway.refund(effectID: "e", refundEffectID: "r", amount: Self.amount)
          },
        ]
        for attempt in attempts {
          #expect(await doubt(attempt) == true)
        }
      }
    }
  }
}

extension Logger {
  fileprivate static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
