import EventSourcing
import Synchronization

/// Decides how each request goes: by its test method, by its card, or by chance.
final class Simulator: Sendable {
  /// What can be changed while the service runs.
  struct Settings: Sendable, Hashable {
    var latencyMilliseconds: Int64
    var failureRate: FailureRate
    var failureCodes: [FailureCode]
  }

  /// How one request goes. The ledger is asked between `before` and `answer`.
  struct Plan: Sendable, Hashable {
    enum Before: Sendable, Hashable {
      case nothing
      case wait(milliseconds: Int64)
      /// The request ends here, undone.
      case refuseService
      case neverAnswer
    }
    enum Answer: Sendable, Hashable {
      case honest
      /// Done, but the answer is an error.
      case error
      /// Done, but no answer comes.
      case none
    }

    var before = Before.nothing
    var outcome = ProcessingOutcome.capture
    var answer = Answer.honest
  }

  private struct State {
    var settings: Settings
    var generator: SeededGenerator
  }

  private let state: Mutex<State>
  private let slowAnswerMilliseconds: Int64

  init(_ configuration: PaymentProviderConfiguration) {
    let settings = Settings(
      latencyMilliseconds: configuration.latencyMilliseconds,
      failureRate: configuration.failureRate, failureCodes: configuration.failureCodes)
    state = Mutex(
      State(settings: settings, generator: SeededGenerator(seed: configuration.seed)))
    slowAnswerMilliseconds = configuration.slowAnswerMilliseconds
  }

  var settings: Settings { state.withLock { $0.settings } }

  /// Whether nothing is left to chance: how a request goes is known without it.
  var isChanceless: Bool { settings.failureRate.partsPerMillion == 0 }

  /// Changes the settings in one step and answers the new ones.
  func changeSettings(
    _ change: (inout Settings) throws(FieldError) -> Void
  ) throws(FieldError) -> Settings {
    let outcome = state.withLock { state -> Result<Settings, FieldError> in
      var settings = state.settings
      do throws(FieldError) {
        try change(&settings)
      } catch {
        return .failure(error)
      }
      state.settings = settings
      return .success(settings)
    }
    return try outcome.get()
  }

  func plan(for instrument: Instrument, at time: Timestamp) -> Plan {
    switch instrument {
    case .card(let card):
      if let code = card.testDecline { return Plan(outcome: .decline(code)) }
      if card.isExpired(at: time) { return Plan(outcome: .decline(.expiredCard)) }
    case .method("test_card_declined"): return Plan(outcome: .decline(.cardDeclined))
    case .method("test_insufficient_funds"): return Plan(outcome: .decline(.insufficientFunds))
    case .method("test_expired_card"): return Plan(outcome: .decline(.expiredCard))
    case .method("test_slow"): return Plan(before: .wait(milliseconds: slowAnswerMilliseconds))
    case .method("test_timeout"): return Plan(before: .neverAnswer)
    case .method("test_charged_no_answer"): return Plan(answer: .none)
    case .method: break
    }
    return drawFailure().map(Self.plan(for:)) ?? Plan()
  }

  func planForRefund() -> Plan {
    guard let code = drawFailure(), code.strikesRefunds else { return Plan() }
    return Self.plan(for: code)
  }

  private func drawFailure() -> FailureCode? {
    state.withLock { state in
      let draw = Int64.random(in: 0..<1_000_000, using: &state.generator)
      guard draw < state.settings.failureRate.partsPerMillion else { return nil }
      return state.settings.failureCodes.randomElement(using: &state.generator)
    }
  }

  private static func plan(for code: FailureCode) -> Plan {
    switch code {
    case .cardDeclined: Plan(outcome: .decline(.cardDeclined))
    case .insufficientFunds: Plan(outcome: .decline(.insufficientFunds))
    case .expiredCard: Plan(outcome: .decline(.expiredCard))
    case .serviceUnavailable: Plan(before: .refuseService)
    case .noAnswer: Plan(before: .neverAnswer)
    case .doneButError: Plan(answer: .error)
    case .doneButNoAnswer: Plan(answer: .none)
    }
  }
}
