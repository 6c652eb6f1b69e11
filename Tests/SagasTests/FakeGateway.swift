import Commerce
import EventSourcing
import Sagas
import Synchronization

/// A payment provider with a ledger that does what its script says, and answers by effect id.
final class FakeGateway: PaymentGateway {
  /// What becomes of one request. When the script is at its end, requests are answered.
  enum Act: Sendable {
    case answer
    /// Nobody listens.
    case notSent
    /// The request is lost on its way.
    case lost
    /// It is done, and the answer is lost.
    case unanswered
  }

  struct Ledger: Sendable, Equatable {
    var charges: [String: Money] = [:]
    var refunds: [String: Money] = [:]
    /// Charges that were undone before they came.
    var tombstones: Set<String> = []
    var chargeRequests = 0
    var refundRequests = 0
    /// How often it was asked what became of a charge.
    var questions = 0
  }

  private struct State {
    var ledger = Ledger()
    var chargeScript: [Act]
    var refundScript: [Act]
    var questionScript: [Act]
    var declines: [String: String] = [:]
    var refunded: Set<String> = []
    var isDead = false
    var areRefundsDead = false
    var declined: String?
  }

  private let state: Mutex<State>

  init(
    charges: [Act] = [], refunds: [Act] = [], questions: [Act] = [], declining code: String? = nil
  ) {
    state = Mutex(
      State(
        chargeScript: charges, refundScript: refunds, questionScript: questions, declined: code))
  }

  var ledger: Ledger { state.withLock(\.ledger) }

  /// Dead: every request fails without having been sent.
  func setDead(_ isDead: Bool) { state.withLock { $0.isDead = isDead } }
  func setRefundsDead(_ areDead: Bool) { state.withLock { $0.areRefundsDead = areDead } }

  func charge(
    _ request: ChargeRequest
  ) async throws(PaymentGatewayError) -> ChargeOutcome {
    try answer { state in
      state.ledger.chargeRequests += 1
      let act = state.chargeScript.isEmpty ? Act.answer : state.chargeScript.removeFirst()
      return Self.perform(act, isDead: state.isDead) {
        if let code = state.declined {
          state.declines[request.effectID] = code
          return .declined(code: code, reason: "declined")
        }
        if state.ledger.tombstones.contains(request.effectID) {
          return .declined(code: "VOIDED", reason: "voided before")
        }
        state.ledger.charges[request.effectID] = request.amount
        return .charged(transactionID: "transaction of \(request.effectID)")
      }
    }
  }

  func refund(
    effectID: String, refundEffectID: String, amount: Money
  ) async throws(PaymentGatewayError) -> RefundOutcome {
    try answer { state in
      state.ledger.refundRequests += 1
      let act = state.refundScript.isEmpty ? Act.answer : state.refundScript.removeFirst()
      return Self.perform(act, isDead: state.isDead || state.areRefundsDead) {
        guard state.ledger.charges[effectID] != nil else {
          state.ledger.tombstones.insert(effectID)
          return .nothingCharged
        }
        state.ledger.refunds[refundEffectID] = amount
        state.refunded.insert(effectID)
        return .refunded(refundID: "refund of \(effectID)")
      }
    }
  }

  func outcome(of effectID: String) async throws(PaymentGatewayError) -> ChargeOutcome? {
    try answer { state in
      state.ledger.questions += 1
      let act = state.questionScript.isEmpty ? Act.answer : state.questionScript.removeFirst()
      return Self.perform(act, isDead: state.isDead) {
        if let code = state.declines[effectID] { return .declined(code: code, reason: "declined") }
        if state.ledger.tombstones.contains(effectID) || state.refunded.contains(effectID) {
          return .declined(code: "VOIDED", reason: "voided before")
        }
        return state.ledger.charges[effectID] == nil
          ? nil : .charged(transactionID: "transaction of \(effectID)")
      }
    }
  }

  private func answer<Outcome: Sendable>(
    _ body: (inout State) -> Result<Outcome, PaymentGatewayError>
  ) throws(PaymentGatewayError) -> Outcome {
    try state.withLock { body(&$0) }.get()
  }

  private static func perform<Outcome>(
    _ act: Act, isDead: Bool, _ work: () -> Outcome
  ) -> Result<Outcome, PaymentGatewayError> {
    if isDead { return .failure(.notSent("connection refused")) }
    switch act {
    case .answer: return .success(work())
    case .notSent: return .failure(.notSent("connection refused"))
    case .lost: return .failure(.unknown("timeout"))
    case .unanswered:
      _ = work()
      return .failure(.unknown("connection reset"))
    }
  }
}

/// A clock that a sleep moves on at once.
final class FakeTime: Sendable {
  private let milliseconds: Mutex<Int64>

  init(_ start: Timestamp = .now) { milliseconds = Mutex(start.millisecondsSinceEpoch) }

  var now: Timestamp {
    Timestamp(millisecondsSinceEpoch: milliseconds.withLock { $0 })
  }

  func advance(milliseconds: Int64) { self.milliseconds.withLock { $0 += milliseconds } }

  var clock: ReactorClock {
    ReactorClock(
      now: { self.now },
      sleep: { duration in
        try Task.checkCancellation()
        let (seconds, attoseconds) = duration.components
        self.advance(milliseconds: max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000))
        // Real time passes too, so that a loop of attempts does not starve the others.
        try await Task.sleep(for: .milliseconds(1))
      })
  }
}
