import Commerce
import EventSourcing

/// Deadlines, and what is done when they have passed.
extension OrderFulfilment {
  private static let blockedRetrySecondsMin: Int64 = 30
  private static let blockedRetrySecondsMax: Int64 = 3600

  /// The timer that is live after a move: a stage that is entered sets its own, one that is kept
  /// keeps it.
  static func timer(after move: Move, _ state: State, at now: Timestamp) -> SagaTimer? {
    if move.stage == state.stage, move.kind != .retried { return state.timer }
    // What is in flight keeps its deadline while the saga waits for it to be undone.
    if move.stage == .cancelling, state.timer != nil { return state.timer }
    guard let seconds = limit(of: move.stage, state) else { return nil }
    return SagaTimer(
      name: name(of: move.stage), due: now.adding(seconds: seconds), epoch: state.epoch + 1)
  }

  /// How long a stage may last, in seconds; nil: its command is sent until it is acknowledged, and
  /// that ends the stage.
  private static func limit(of stage: Stage, _ state: State) -> Int64? {
    if stage == .compensationBlocked { return slowRetry(state) }
    guard state.definition.hasDeadlines else { return nil }
    let payment = state.settings.paymentDeadlineSeconds
    return switch stage {
    case .reserving: row(.reserve)?.deadlineSeconds
    case .extendingHold: row(.hold)?.deadlineSeconds
    case .charging: row(.pay)?.deadlineSeconds.map { $0 + payment }
    case .notifying: row(.notify)?.deadlineSeconds
    case .refunding: row(.pay)?.undoDeadlineSeconds
    case .releasing: row(.reserve)?.undoDeadlineSeconds
    case .cancellingOrder: row(.place)?.undoDeadlineSeconds
    case .notStarted, .confirming, .completed, .cancelling, .voidingPayment, .compensated,
      .compensationBlocked:
      nil
    }
  }

  private static func row(_ step: Step) -> SagaStep<Step>? { steps.first { $0.name == step } }

  private static func name(of stage: Stage) -> String {
    stage == .compensationBlocked ? "slow retry" : "deadline of \(stage.rawValue)"
  }

  /// Doubles up to an hour, with full jitter that follows from the saga itself.
  private static func slowRetry(_ state: State) -> Int64 {
    let bound = min(blockedRetrySecondsMax, blockedRetrySecondsMin << min(state.retries, 10))
    var words = SeededGenerator(
      seed: CommandID(derivedFrom: "\(state.order?.id.text ?? "")/\(state.epoch)").seed)
    return bound / 2 + Int64.random(in: 0...(bound / 2), using: &words)
  }

  /// What is done when the saga's timer is due.
  static func whenDue(_ state: State) -> Move? {
    switch state.stage {
    case .reserving:
      turnBack(
        state, .init(.reserve, .forward, .timedOut),
        .late("RESERVATION_TIMEOUT", "the stock was not reserved in time"))
    case .extendingHold:
      turnBack(
        state, .init(.hold, .forward, .timedOut),
        .late("HOLD_TIMEOUT", "the stock could not be held long enough in time"))
    case .charging:
      turnBack(
        state, .init(.pay, .forward, .timedOut),
        .late("PAYMENT_TIMEOUT", "the payment's outcome was not known in time"))
    case .cancelling:
      state.inFlight.flatMap { turnBack(state, .init($0, .forward, .timedOut)) }
    case .notifying:
      Move(
        kind: .completed, stage: .completed, finished: .init(.notify, .forward, .timedOut))
    case .refunding: undoIsLate(.pay, state)
    case .releasing: undoIsLate(.reserve, state)
    case .cancellingOrder: undoIsLate(.place, state)
    case .compensationBlocked: tryAgain(state)
    case .notStarted, .confirming, .completed, .voidingPayment, .compensated: nil
    }
  }

  private static func undoIsLate(_ step: Step, _ state: State) -> Move {
    turnBack(
      state, .init(step, .undo, .timedOut), .undoRefused("there was no answer in time"))
  }

  /// Sends the blocked undos again.
  private static func tryAgain(_ state: State) -> Move? {
    let commands = pending(state)
    guard !commands.isEmpty else { return nil }
    return Move(kind: .retried, stage: state.stage, commands: commands)
  }

  // MARK: Operators

  /// - Throws: ``SagaRefusal/notNow(_:)`` when the act does not fit.
  static func whenActed(_ state: State, _ act: SagaAct) throws(SagaRefusal) -> Move? {
    guard state.order != nil else { throw .notNow("there is no such saga") }
    switch act.action {
    case .resume: throw .notNow("it is not suspended")
    case .retry:
      guard let move = tryAgain(state) else {
        throw .notNow("it is \(state.stage.rawValue), and waits for no command")
      }
      return move
    case .forceCompensation: return try forced(state, act)
    case .skip: return try skipped(state)
    }
  }

  private static func forced(_ state: State, _ act: SagaAct) throws(SagaRefusal) -> Move? {
    let failure = SagaFailure(code: "OPERATOR", reason: act.reason)
    switch state.stage {
    case .reserving, .extendingHold, .charging, .confirming, .notifying, .completed:
      return move(from: state, on: .cancellationRequested(failure))
    case .cancelling:
      // Nothing would stop a confirmation that is late: it is sent until it is answered.
      if state.inFlight == .confirm {
        throw .notNow("the order is being confirmed, and turns back when that is answered")
      }
      // Not to be waited for any longer.
      return state.inFlight.flatMap {
        turnBack(state, .init($0, .forward, .timedOut), failure)
      }
    case .refunding, .releasing, .cancellingOrder, .voidingPayment, .compensationBlocked:
      throw .notNow("it is \(state.stage.rawValue): it compensates already")
    case .notStarted, .compensated: throw .notNow("it has ended: \(state.stage.rawValue)")
    }
  }

  private static func skipped(_ state: State) throws(SagaRefusal) -> Move? {
    switch state.stage {
    case .notifying:
      return Move(
        kind: .completed, stage: .completed, finished: .init(.notify, .forward, .skipped))
    case .refunding: return turnBack(state, .init(.pay, .undo, .skipped))
    case .releasing: return turnBack(state, .init(.reserve, .undo, .skipped))
    case .cancellingOrder: return turnBack(state, .init(.place, .undo, .skipped))
    case .compensationBlocked:
      guard let step = steps.last(where: { state.blocked[$0.name] != nil })?.name else {
        return nil
      }
      return unblock(state, .init(step, .undo, .skipped))
    case .notStarted, .reserving, .extendingHold, .charging, .confirming, .completed, .cancelling,
      .voidingPayment, .compensated:
      throw .notNow(
        "what it waits for as \(state.stage.rawValue) cannot be skipped: the order depends on it")
    }
  }

  // MARK: What it waits for

  /// The states that a ``SagaFilter`` may name.
  public static let filterStates = Stage.allCases.map(\.rawValue) + [SagaFilter.suspended]

  /// Also one whose order could not be read and was left out: it will never begin.
  public static func hasEnded(_ state: State) -> Bool {
    state.stage.isTerminal || state.stage == .notStarted
  }

  public static func task(of state: State) -> String? {
    guard state.stage == .compensationBlocked else { return nil }
    let undos = steps.reversed().compactMap { step in
      state.blocked[step.name].map { "\(step.compensation ?? step.name.rawValue): \($0)" }
    }
    return undos.isEmpty ? "an undo does not succeed" : undos.joined(separator: "; ")
  }

  public static func pendingCommands(of state: State) -> [OutgoingCommand] {
    guard let order = state.order else { return [] }
    return pending(state).compactMap { step, direction in
      command(
        step, direction, of: order, because: state.failure, Moments(state, at: state.now))
    }
  }

  private static func pending(_ state: State) -> [(Step, SagaDirection)] {
    switch state.stage {
    case .reserving, .extendingHold, .charging, .confirming, .notifying:
      state.stage.step.map { [($0, .forward)] } ?? []
    case .cancelling: state.inFlight.map { [($0, .forward)] } ?? []
    case .refunding, .voidingPayment: [(.pay, .undo)]
    // A payment by hand goes back beside them: nothing is sent again before it has.
    case .releasing where isPaidBackFirst(state), .cancellingOrder where isPaidBackFirst(state):
      [(.pay, .undo)]
    case .releasing: [(.reserve, .undo)]
    case .cancellingOrder: [(.place, .undo)]
    case .compensationBlocked:
      steps.reversed().filter { state.blocked[$0.name] != nil }.map { ($0.name, .undo) }
    case .notStarted, .completed, .compensated: []
    }
  }

  private static func isPaidBackFirst(_ state: State) -> Bool {
    state.definition.waitsForOpenPayment && state.payment == .refunding
  }
}

extension OrderFulfilment.Moments {
  init(_ state: OrderFulfilment.State, at now: Timestamp) {
    guard state.definition.hasDeadlines else { return }
    let settings = state.settings
    payUntil = state.payUntil ?? now.adding(seconds: settings.paymentDeadlineSeconds)
    extendUntil = now.adding(seconds: settings.holdSeconds)
    holdUntil = state.holdUntil ?? extendUntil
  }
}

extension SagaFailure {
  fileprivate static func late(_ code: String, _ reason: String) -> SagaFailure {
    SagaFailure(code: code, reason: reason)
  }
}

extension CommandID {
  fileprivate var seed: UInt64 {
    withUnsafeBytes(of: uuid.uuid) { $0.loadUnaligned(as: UInt64.self) }
  }
}
