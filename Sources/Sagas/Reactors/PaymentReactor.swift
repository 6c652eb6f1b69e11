import Commerce
import EventSourcing
import Logging

/// Does what payments ask of the provider, and records its answers.
///
/// Plugged into a `Subscription` by ``key(for:)`` and ``handle(_:)``: one payment's requests come
/// one after the other, so that a refund never overtakes its charge.
///
/// A payment without an answer at its deadline counts as possibly charged, whatever this reactor has
/// tried: another one may have tried before it, or at the same time. Only the provider says no.
///
/// A provider that cannot be reached costs nothing per payment: a ``CircuitBreaker`` lets one attempt
/// out at a time until it is there again.
public final class PaymentReactor: Sendable {
  public static let name = "payment-reactor.v1"

  private let shop: Shop
  private let gateway: any PaymentGateway
  private let clock: ReactorClock
  private let logger: Logger
  private let chargeBackoff: Backoff
  private let refundBackoff: Backoff
  private let breaker: CircuitBreaker

  /// What was to be done is done, or no longer wanted.
  private struct Obsolete: Error {}

  /// How long after its deadline a payment waits for a place to ask what became of it.
  private static let questionSeconds: Int64 = 5
  /// For so long a charge that waits for its turn is still wanted.
  private static let trustMilliseconds: Int64 = 1_000

  public init(
    shop: Shop, gateway: any PaymentGateway, logger: Logger, clock: ReactorClock = .system,
    chargeBackoff: Backoff = Backoff(first: .milliseconds(100), maximum: .seconds(2)),
    refundBackoff: Backoff = Backoff(first: .milliseconds(100), maximum: .seconds(10))
  ) {
    self.shop = shop
    self.gateway = gateway
    self.clock = clock
    self.logger = logger
    self.chargeBackoff = chargeBackoff
    self.refundBackoff = refundBackoff
    self.breaker = CircuitBreaker(clock: clock)
  }

  /// The payment that an event asks something for; nil for all other events.
  public func key(for event: Recorded) -> String? {
    guard event.stream.category == Payments.category else { return nil }
    switch event.type {
    case PaymentInitiated.type, PaymentRefundRequested.type: return event.stream.id
    default: return nil
    }
  }

  /// Returns when the outcome is recorded, or was before. Waits for the provider: a charge until
  /// its deadline, a refund for ever.
  public func handle(_ event: Recorded) async throws {
    switch event.type {
    case PaymentInitiated.type:
      try await charge(try PaymentInitiated(fields: Payments.currentData(of: event)), event)
    case PaymentRefundRequested.type:
      try await refund(try PaymentRefundRequested(fields: Payments.currentData(of: event)), event)
    default: break
    }
  }

  // MARK: Charging

  private func charge(_ payment: PaymentInitiated, _ event: Recorded) async throws {
    var attempt = 0
    while try await state(after: event, isRetry: attempt > 0).status == .initiated {
      let remaining = clock.now().milliseconds(until: payment.deadline)
      guard remaining > 0 else { return try await giveUp(payment, event) }
      attempt += 1
      do {
        let asked = clock.now()
        let outcome = try await breaker.request(before: payment.deadline) { hasWaited in
          if hasWaited { try await checkWanted(payment, event, since: asked) }
          return try await charge(payment)
        }
        if let outcome {
          try await record(outcome, payment, event)
          return CrashPoint.pass("after the charge's outcome was recorded")
        }
      } catch let error as PaymentGatewayError {
        report(error, attempt, payment.effectID)
        let pause = chargeBackoff.delay(attempt: attempt)
        try await self.pause(min(pause, .milliseconds(remaining)))
      } catch is Obsolete {
        continue
      }
    }
  }

  /// A charge that has waited for its turn may have been undone meanwhile, or be too late. After a
  /// short time that is not worth a look into the log: what is undone before it is charged is as
  /// well undone after it.
  private func checkWanted(
    _ payment: PaymentInitiated, _ event: Recorded, since asked: Timestamp
  ) async throws {
    let now = clock.now()
    guard now < payment.deadline else { throw Obsolete() }
    guard asked.milliseconds(until: now) >= Self.trustMilliseconds else { return }
    guard try await state(after: event, isRetry: true).status == .initiated else {
      throw Obsolete()
    }
  }

  private func charge(
    _ payment: PaymentInitiated
  ) async throws(PaymentGatewayError) -> ChargeOutcome {
    CrashPoint.pass("before the charge")
    defer { CrashPoint.pass("after the charge") }
    return try await gateway.charge(
      ChargeRequest(
        effectID: payment.effectID, orderID: payment.orderID, userID: payment.userID,
        amount: payment.amount, paymentMethod: payment.paymentMethod))
  }

  private func record(
    _ outcome: ChargeOutcome, _ payment: PaymentInitiated, _ event: Recorded
  ) async throws {
    switch outcome {
    case .charged(let transactionID):
      // Under a command id of its own: it counts also after a failure that was recorded.
      try await shop.paymentSucceeded(
        order: payment.orderID, transactionID: transactionID,
        context: context("\(payment.effectID)/charged", event))
    case .declined(let code, let reason):
      try await shop.paymentFailed(
        order: payment.orderID, code: code, reason: reason, possiblyCharged: false,
        context: context(payment.effectID, event))
    }
  }

  /// At the deadline. The provider is asked once: what it does not know, or does not say, may still
  /// be under way.
  private func giveUp(_ payment: PaymentInitiated, _ event: Recorded) async throws {
    if let outcome = try await ask(payment.effectID) {
      return try await record(outcome, payment, event)
    }
    try await shop.paymentFailed(
      order: payment.orderID, code: "PAYMENT_UNAVAILABLE",
      reason: "the payment service did not answer in time", possiblyCharged: true,
      context: context(payment.effectID, event))
  }

  /// What became of a charge; nil when nobody knows.
  private func ask(_ effectID: String) async throws -> ChargeOutcome? {
    guard !breaker.isOpen else { return nil }
    let deadline = clock.now().adding(seconds: Self.questionSeconds)
    do {
      return try await breaker.request(before: deadline) { _ in
        try await gateway.outcome(of: effectID)
      } ?? nil
    } catch let error as PaymentGatewayError {
      report(error, 1, effectID)
      return nil
    }
  }

  // MARK: Refunding

  private func refund(_ request: PaymentRefundRequested, _ event: Recorded) async throws {
    var attempt = 0
    while true {
      let payment = try await state(after: event, isRetry: attempt > 0)
      guard payment.status != .refunded, payment.status != .voided,
        let charge = payment.initiated
      else { return }
      attempt += 1
      do {
        let outcome = try await breaker.request(before: nil) { _ in
          CrashPoint.pass("before the refund")
          defer { CrashPoint.pass("after the refund") }
          return try await gateway.refund(
            effectID: charge.effectID, refundEffectID: request.effectID, amount: request.amount)
        }
        if let outcome {
          try await record(outcome, request, event)
          return CrashPoint.pass("after the refund's outcome was recorded")
        }
      } catch let error as PaymentGatewayError {
        report(error, attempt, request.effectID)
        try await pause(refundBackoff.delay(attempt: attempt))
      }
    }
  }

  private func record(
    _ outcome: RefundOutcome, _ request: PaymentRefundRequested, _ event: Recorded
  ) async throws {
    let context = context(request.effectID, event)
    switch outcome {
    case .refunded(let refundID):
      try await shop.paymentRefunded(order: request.orderID, refundID: refundID, context: context)
    case .nothingCharged:
      try await shop.paymentVoided(order: request.orderID, context: context)
    }
  }

  // MARK: Parts

  /// The payment with `event` in it; before another attempt as the log has it now, for another
  /// process may have settled it.
  private func state(after event: Recorded, isRetry: Bool) async throws -> Payment {
    if isRetry { shop.payments.forget([event.stream.id]) }
    return try await shop.payments.state(after: event)
  }

  /// Between two attempts of one payment; while the breaker is open, that is its affair.
  private func pause(_ duration: Duration) async throws {
    if !breaker.isOpen { try await clock.sleep(duration) }
  }

  private func context(_ effectID: String, _ event: Recorded) -> CommitContext {
    CommitContext(outcomeOf: effectID, of: event, at: clock.now(), by: "payments")
  }

  private func report(_ error: PaymentGatewayError, _ attempt: Int, _ effectID: String) {
    logger.log(
      level: attempt == 3 ? .warning : .debug, "the payment service did not answer",
      metadata: ["effect": "\(effectID)", "attempt": "\(attempt)", "error": "\(error)"])
  }
}

extension Timestamp {
  fileprivate func milliseconds(until later: Timestamp) -> Int64 {
    later.millisecondsSinceEpoch - millisecondsSinceEpoch
  }
}
