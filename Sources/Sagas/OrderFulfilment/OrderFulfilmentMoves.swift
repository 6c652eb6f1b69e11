import EventSourcing

extension OrderFulfilment {
  /// What the saga does on one input.
  struct Move {
    var kind: SagaEvent.Kind
    var stage: Stage
    var finished: SagaEvent.Finished?
    var commands: [(Step, SagaDirection)] = []
    /// Why the saga turns back, or why an undo was refused.
    var failure: SagaFailure?
  }

  /// Every stage × every input. Nil: the input is late, or it changes nothing.
  static func move(from state: State, on input: Input) -> Move? {
    switch state.stage {
    case .notStarted: start(on: input)
    case .reserving: whileReserving(state, input)
    case .extendingHold: whileExtendingHold(state, input)
    case .charging: whileCharging(state, input)
    case .confirming: whileConfirming(state, input)
    case .notifying: whileNotifying(state, input)
    case .completed: whenCompleted(state, input)
    case .cancelling: whileCancelling(state, input)
    case .refunding: whileRefunding(state, input)
    case .releasing: whileReleasing(state, input)
    case .cancellingOrder: whileCancellingOrder(state, input)
    case .voidingPayment, .compensationBlocked: settling(state, input)
    case .compensated: nil
    }
  }

  private static func start(on input: Input) -> Move? {
    switch input {
    case .started:
      Move(kind: .started, stage: .reserving, commands: [(.reserve, .forward)])
    // Stock, money and messages of an order that no saga carries out.
    case .succeeded, .failed, .undone, .paymentBegun, .cancellationRequested, .refused,
      .nothingToDo:
      nil
    }
  }

  private static func whileReserving(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .succeeded(.reserve): reserved(state, .succeeded)
    case .nothingToDo(.reserve, .forward): reserved(state, .notNeeded)
    case .failed(.reserve, let failure, _):
      turnBack(state, .init(.reserve, .forward, .failed), failure)
    case .refused(.reserve, .forward, let reason):
      turnBack(
        state, .init(.reserve, .forward, .refused),
        SagaFailure(code: "RESERVATION_REFUSED", reason: reason))
    case .cancellationRequested(let failure):
      Move(kind: .compensating, stage: .cancelling, failure: failure)
    // Paid by hand before the stock is there: kept until it is.
    case .paymentBegun where state.payment == .untouched:
      Move(kind: .advanced, stage: .reserving)
    case .succeeded(.pay) where state.payment != .charged:
      Move(kind: .advanced, stage: .reserving, finished: .init(.pay, .forward, .succeeded))
    case .failed(.pay, let failure, let mayStand):
      Move(
        kind: .compensating, stage: .cancelling, finished: .init(.pay, .forward, .failed),
        commands: mayStand ? [(.pay, .undo)] : [], failure: failure)
    case .undone(.pay):
      Move(
        kind: .compensating, stage: .cancelling, finished: .init(.pay, .undo, .succeeded),
        failure: .paymentUndone)
    case .started, .succeeded, .failed(.place, _, _), .failed(.hold, _, _),
      .failed(.confirm, _, _), .failed(.notify, _, _), .undone, .paymentBegun, .refused,
      .nothingToDo:
      nil
    }
  }

  private static func reserved(_ state: State, _ outcome: SagaOutcome) -> Move {
    let finished = SagaEvent.Finished(.reserve, .forward, outcome)
    if state.standing.contains(.pay) {
      return Move(
        kind: .advanced, stage: .confirming, finished: finished, commands: [(.confirm, .forward)])
    }
    guard state.payment == .untouched else {
      return Move(kind: .advanced, stage: .charging, finished: finished)
    }
    if !outlivesPayment(state) {
      return Move(
        kind: .advanced, stage: .extendingHold, finished: finished, commands: [(.hold, .forward)])
    }
    return Move(
      kind: .advanced, stage: .charging, finished: finished, commands: [(.pay, .forward)])
  }

  /// Whether the stock is held for longer than a payment that begins now may take.
  private static func outlivesPayment(_ state: State) -> Bool {
    guard state.definition.hasDeadlines, let until = state.holdUntil else { return true }
    return state.now.adding(
      seconds: state.settings.paymentDeadlineSeconds + Settings.beyondPaymentSeconds / 2) <= until
  }

  private static func whileExtendingHold(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .succeeded(.hold): held(state, .succeeded)
    case .nothingToDo(.hold, .forward): held(state, .notNeeded)
    case .refused(.hold, .forward, let reason):
      turnBack(
        state, .init(.hold, .forward, .refused), SagaFailure(code: "HOLD_EXPIRED", reason: reason))
    case .cancellationRequested(let failure):
      Move(kind: .compensating, stage: .cancelling, failure: failure)
    // Paid by hand meanwhile: who has begun to pay keeps what is held.
    case .paymentBegun where state.payment == .untouched:
      Move(kind: .advanced, stage: .charging)
    case .started, .succeeded, .failed, .undone, .paymentBegun, .refused, .nothingToDo:
      nil
    }
  }

  private static func held(_ state: State, _ outcome: SagaOutcome) -> Move {
    guard outlivesPayment(state) else {
      return turnBack(
        state, .init(.hold, .forward, outcome),
        SagaFailure(code: "HOLD_EXPIRED", reason: "the stock was held too late to be paid for"))
    }
    return Move(
      kind: .advanced, stage: .charging, finished: .init(.hold, .forward, outcome),
      commands: [(.pay, .forward)])
  }

  private static func whileCharging(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .succeeded(.pay):
      Move(
        kind: .advanced, stage: .confirming, finished: .init(.pay, .forward, .succeeded),
        commands: [(.confirm, .forward)])
    case .failed(.pay, let failure, let mayStand):
      turnBack(state, .init(.pay, .forward, .failed), failure, mayBeCharged: mayStand)
    case .refused(.pay, .forward, let reason):
      turnBack(
        state, .init(.pay, .forward, .refused),
        SagaFailure(code: "PAYMENT_REFUSED", reason: reason))
    case .undone(.pay): turnBack(state, .init(.pay, .undo, .succeeded), .paymentUndone)
    case .cancellationRequested(let failure):
      Move(kind: .compensating, stage: .cancelling, failure: failure)
    // TakePayment finding nothing to do: a payment by hand is under way, its outcome will come.
    case .nothingToDo, .paymentBegun: nil
    case .started, .succeeded(.place), .succeeded(.reserve), .succeeded(.hold),
      .succeeded(.confirm), .succeeded(.notify), .failed(.place, _, _), .failed(.reserve, _, _),
      .failed(.hold, _, _), .failed(.confirm, _, _), .failed(.notify, _, _), .undone, .refused:
      nil
    }
  }

  private static func whileConfirming(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .succeeded(.confirm): confirmed(.succeeded)
    case .nothingToDo(.confirm, .forward): confirmed(.notNeeded)
    case .refused(.confirm, .forward, let reason):
      turnBack(
        state, .init(.confirm, .forward, .refused),
        SagaFailure(code: "CONFIRMATION_REFUSED", reason: reason))
    case .cancellationRequested(let failure):
      Move(kind: .compensating, stage: .cancelling, failure: failure)
    case .started, .succeeded(.place), .succeeded(.reserve), .succeeded(.hold), .succeeded(.pay),
      .succeeded(.notify), .failed, .undone, .paymentBegun, .refused, .nothingToDo:
      nil
    }
  }

  private static func confirmed(_ outcome: SagaOutcome) -> Move {
    Move(
      kind: .advanced, stage: .notifying, finished: .init(.confirm, .forward, outcome),
      commands: [(.notify, .forward)])
  }

  private static func whileNotifying(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .succeeded(.notify): completed(.succeeded)
    case .nothingToDo(.notify, .forward): completed(.notNeeded)
    case .refused(.notify, .forward, _): completed(.refused)
    case .cancellationRequested(let failure): turnBack(state, nil, failure)
    case .started, .succeeded(.place), .succeeded(.reserve), .succeeded(.hold), .succeeded(.pay),
      .succeeded(.confirm), .failed, .undone, .paymentBegun, .refused, .nothingToDo:
      nil
    }
  }

  private static func completed(_ outcome: SagaOutcome) -> Move {
    Move(kind: .completed, stage: .completed, finished: .init(.notify, .forward, outcome))
  }

  private static func whenCompleted(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .cancellationRequested(let failure): turnBack(state, nil, failure)
    case .started, .succeeded, .failed, .undone, .paymentBegun, .refused, .nothingToDo: nil
    }
  }
}

extension SagaFailure {
  fileprivate static let paymentUndone = SagaFailure(
    code: "PAYMENT_UNDONE", reason: "the payment was given back before the order was confirmed")
}
