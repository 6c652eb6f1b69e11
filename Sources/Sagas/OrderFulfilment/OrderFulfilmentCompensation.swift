import EventSourcing

/// The way back: what stands is undone in strict reverse order, and nothing else.
///
/// Beside that sequence a payment may be open whose outcome nobody knows. Its refund is asked for
/// at once; the stock and the order do not wait for it, the end of the saga does.
extension OrderFulfilment {
  /// Takes in how the last command ended, and undoes the latest step that stands.
  static func turnBack(
    _ state: State, _ finished: SagaEvent.Finished?, _ failure: SagaFailure? = nil,
    mayBeCharged: Bool = false
  ) -> Move {
    var after = state
    if let finished { after.apply(finished, because: failure) }
    var commands: [(Step, SagaDirection)] = []
    if mayBeCharged || after.payment == .charging {
      if state.definition.waitsForOpenPayment {
        after.standing.insert(.pay)
      } else {
        commands.append((.pay, .undo))
        after.payment = .refunding
      }
    }
    let next = nextToUndo(after)
    // A refund may have been asked for beside.
    if let next, next != .pay || after.payment != .refunding { commands.append((next, .undo)) }
    let stage = next.map(stage(undoing:)) ?? settled(after)
    return Move(
      kind: kind(stage, finished), stage: stage, finished: finished, commands: commands,
      failure: failure ?? blockage(after, stage))
  }

  /// The last step that stands; the order itself only when nothing else is left, blocked or not.
  private static func nextToUndo(_ state: State) -> Step? {
    let next = steps.last { $0.compensation != nil && state.standing.contains($0.name) }?.name
    if next == .place, !state.blocked.isEmpty, state.definition.waitsForOpenPayment { return nil }
    return next
  }

  /// A blocked undo is done after all: the sequence goes on when it was the last of them.
  static func unblock(_ state: State, _ finished: SagaEvent.Finished) -> Move {
    var after = state
    after.apply(finished, because: nil)
    return after.blocked.isEmpty ? turnBack(state, finished) : note(state, finished)
  }

  /// Takes in what happened beside the sequence.
  private static func note(
    _ state: State, _ finished: SagaEvent.Finished?, _ failure: SagaFailure? = nil,
    commands: [(Step, SagaDirection)] = []
  ) -> Move {
    var after = state
    if let finished { after.apply(finished, because: failure) }
    if !commands.isEmpty { after.payment = .refunding }
    let isSettling = state.stage == .voidingPayment || state.stage == .compensationBlocked
    let stage = isSettling ? settled(after) : state.stage
    return Move(
      kind: kind(stage, finished), stage: stage, finished: finished, commands: commands,
      failure: failure ?? blockage(after, stage))
  }

  private static func stage(undoing step: Step) -> Stage {
    switch step {
    case .pay: .refunding
    case .reserve: .releasing
    case .place, .hold, .confirm, .notify: .cancellingOrder
    }
  }

  /// Where a saga stands that has nothing left to undo.
  private static func settled(_ state: State) -> Stage {
    // The order waits for what is blocked, and for nothing beside it.
    if state.definition.waitsForOpenPayment, !state.blocked.isEmpty { return .compensationBlocked }
    if state.payment == .charging || state.payment == .refunding { return .voidingPayment }
    return state.blocked.isEmpty ? .compensated : .compensationBlocked
  }

  /// Why a saga that has nothing left to undo is not at its end.
  private static func blockage(_ state: State, _ stage: Stage) -> SagaFailure? {
    guard stage == .compensationBlocked else { return nil }
    let reasons = steps.reversed().compactMap { step in
      state.blocked[step.name].map { "\(step.compensation ?? ""): \($0)" }
    }
    return .undoRefused(reasons.joined(separator: "; "))
  }

  private static func kind(_ stage: Stage, _ finished: SagaEvent.Finished?) -> SagaEvent.Kind {
    if stage == .compensated { return .compensated }
    if stage == .compensationBlocked { return .compensationBlocked }
    let isBlocked =
      finished?.direction == .undo
      && (finished?.outcome == .refused || finished?.outcome == .timedOut)
    return isBlocked ? .compensationBlocked : .compensating
  }

  static func whileCancelling(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .succeeded(let step) where step == state.inFlight:
      turnBack(state, .init(step, .forward, .succeeded))
    // A payment that was there already is no outcome: that comes from the payment.
    case .nothingToDo(let step, .forward) where step == state.inFlight && step != .pay:
      turnBack(state, .init(step, .forward, .notNeeded))
    case .failed(let step, _, let mayStand) where step == state.inFlight:
      turnBack(state, .init(step, .forward, .failed), mayBeCharged: step == .pay && mayStand)
    case .refused(let step, .forward, _) where step == state.inFlight:
      turnBack(state, .init(step, .forward, .refused))
    case .undone(.pay) where state.inFlight == .pay:
      turnBack(state, .init(.pay, .undo, .succeeded))
    // Paid by hand while the stock is being reserved.
    case .paymentBegun where state.payment == .untouched: note(state, nil)
    case .succeeded(.pay) where state.payment == .charging:
      note(state, .init(.pay, .forward, .succeeded))
    case .failed(.pay, _, let mayStand) where state.payment == .charging:
      note(state, .init(.pay, .forward, .failed), commands: mayStand ? [(.pay, .undo)] : [])
    case .undone(.pay) where state.payment == .charged && state.inFlight == .reserve:
      note(state, .init(.pay, .undo, .succeeded))
    case .started, .succeeded, .failed, .undone, .paymentBegun, .cancellationRequested, .refused,
      .nothingToDo:
      settling(state, input)
    }
  }

  static func whileRefunding(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .undone(.pay): turnBack(state, .init(.pay, .undo, .succeeded))
    case .nothingToDo(.pay, .undo): turnBack(state, .init(.pay, .undo, .notNeeded))
    case .refused(.pay, .undo, let reason):
      turnBack(state, .init(.pay, .undo, .refused), .undoRefused(reason))
    case .started, .succeeded, .failed, .undone, .paymentBegun, .cancellationRequested, .refused,
      .nothingToDo:
      // What was blocked before, when it is a payment by hand that is refunded.
      settling(state, input)
    }
  }

  static func whileReleasing(_ state: State, _ input: Input) -> Move? {
    undoing(.reserve, state, input)
  }

  static func whileCancellingOrder(_ state: State, _ input: Input) -> Move? {
    undoing(.place, state, input)
  }

  private static func undoing(_ step: Step, _ state: State, _ input: Input) -> Move? {
    switch input {
    case .undone(step): turnBack(state, .init(step, .undo, .succeeded))
    case .nothingToDo(step, .undo): turnBack(state, .init(step, .undo, .notNeeded))
    case .refused(step, .undo, let reason):
      turnBack(state, .init(step, .undo, .refused), .undoRefused(reason))
    case .started, .succeeded, .failed, .undone, .paymentBegun, .cancellationRequested, .refused,
      .nothingToDo:
      settling(state, input)
    }
  }

  /// The open payment and the undos that were refused before: they may end at any time.
  static func settling(_ state: State, _ input: Input) -> Move? {
    switch input {
    case .undone(let step) where state.stage == .compensationBlocked && isAwaited(step, state):
      unblock(state, .init(step, .undo, .succeeded))
    case .nothingToDo(let step, .undo)
    where state.stage == .compensationBlocked && isAwaited(step, state):
      unblock(state, .init(step, .undo, .notNeeded))
    case .undone(let step) where isAwaited(step, state):
      note(state, .init(step, .undo, .succeeded))
    case .nothingToDo(let step, .undo) where isAwaited(step, state):
      note(state, .init(step, .undo, .notNeeded))
    case .refused(.pay, .undo, let reason) where state.payment == .refunding:
      note(state, .init(.pay, .undo, .refused), .undoRefused(reason))
    // Somebody pays by hand for an order that is on its way out.
    case .paymentBegun where state.payment == .untouched && state.stage != .cancelling:
      payBack(state)
    case .started, .succeeded, .failed, .undone, .paymentBegun, .cancellationRequested, .refused,
      .nothingToDo:
      nil
    }
  }

  /// What is blocked waits meanwhile: no undo of an earlier step is sent again before the refund has
  /// ended, or is blocked as well.
  private static func payBack(_ state: State) -> Move {
    guard state.definition.waitsForOpenPayment, state.stage == .compensationBlocked else {
      return note(state, nil, commands: [(.pay, .undo)])
    }
    return Move(kind: .compensating, stage: .refunding, commands: [(.pay, .undo)])
  }

  private static func isAwaited(_ step: Step, _ state: State) -> Bool {
    state.blocked[step] != nil || step == .pay && state.payment == .refunding
  }
}

extension SagaFailure {
  static func undoRefused(_ reason: String) -> SagaFailure {
    SagaFailure(code: "UNDO_REFUSED", reason: reason)
  }
}
