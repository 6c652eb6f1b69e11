import EventSourcing

extension OrderFulfilment {
  public enum Stage: String, Sendable, Hashable, CaseIterable {
    case notStarted = "not_started"
    case reserving
    /// The stock is held, but not for long enough to pay.
    case extendingHold = "extending_hold"
    case charging
    case confirming
    case notifying
    /// Terminal, but the customer may still cancel.
    case completed
    /// To be undone as soon as the outcome of the step in flight is known.
    case cancelling
    case refunding
    case releasing
    case cancellingOrder = "cancelling_order"
    /// The order is cancelled; a payment whose outcome was unknown is still being resolved.
    case voidingPayment = "voiding_payment"
    /// Terminal.
    case compensated
    /// All is undone but what the domain refused to undo. A person is needed.
    case compensationBlocked = "compensation_blocked"

    public var isTerminal: Bool { self == .completed || self == .compensated }

    /// The step whose outcome the stage waits for on the way forward.
    var step: Step? {
      switch self {
      case .reserving: .reserve
      case .extendingHold: .hold
      case .charging: .pay
      case .confirming: .confirm
      case .notifying: .notify
      case .notStarted, .completed, .cancelling, .refunding, .releasing, .cancellingOrder,
        .voidingPayment, .compensated, .compensationBlocked:
        nil
      }
    }
  }

  /// What the saga knows of the order's one payment.
  public enum Payment: Sendable, Hashable {
    case untouched
    /// Asked for, by the saga or by hand; the outcome is open.
    case charging
    case charged
    /// A refund was asked for; the outcome is open.
    case refunding
    /// Not charged, or given back, or the refund was refused for good.
    case settled
  }

  public struct State: Sendable, Hashable {
    public internal(set) var stage = Stage.notStarted
    /// Nil before the saga has started.
    public internal(set) var order: SagaOrder?
    /// The position of the last input that was taken.
    public internal(set) var lastInput = Position.start
    /// While `cancelling`: the step whose outcome is awaited.
    public internal(set) var inFlight: Step?
    /// Steps whose effect stands, so that turning back undoes them.
    public internal(set) var standing: Set<Step> = []
    /// Steps whose undo the domain has refused, and why.
    public internal(set) var blocked: [Step: String] = [:]
    /// What is known of the order's one payment.
    public internal(set) var payment = Payment.untouched
    /// Why the saga turned back; the first reason stays.
    public internal(set) var failure: SagaFailure?
    /// The rules that it began with.
    public internal(set) var definition = Definition.current
    /// Durations that it began with.
    public internal(set) var settings = Settings()
    /// The one timer that is live.
    public internal(set) var timer: SagaTimer?
    /// Of the last timer that was set.
    public internal(set) var epoch: Int64 = 0
    /// How often blocked undos were sent again.
    public internal(set) var retries = 0
    /// Until when the stock is held, and when the payment is given up.
    public internal(set) var holdUntil: Timestamp?
    public internal(set) var payUntil: Timestamp?
    /// The time of the input that is being decided on; of no event.
    var now = Timestamp(millisecondsSinceEpoch: 0)

    public init() {}

    mutating func apply(_ event: SagaEvent) {
      if event.kind == .started {
        order = event.order
        definition = event.definition
        settings = event.settings ?? settings
        standing.insert(.place)
      }
      if let position = event.input.position { lastInput = max(lastInput, position) }
      if event.stage == .cancelling {
        inFlight = inFlight ?? stage.step
      } else {
        inFlight = nil
      }
      stage = event.stage
      if event.input.type == "PaymentInitiated" { payment = .charging }
      if let finished = event.finished { apply(finished, because: event.failure) }
      for command in event.commands { apply(command) }
      timer = event.timer
      epoch = max(epoch, event.timer?.epoch ?? 0)
      if event.kind == .retried { retries += 1 }
      failure = failure ?? event.failure
    }

    private mutating func apply(_ command: OutgoingCommand) {
      guard let (step, direction) = OrderFulfilment.effect(named: command.name) else { return }
      switch (step, direction) {
      case (.pay, .forward):
        payment = .charging
        payUntil = (try? command.payload.timestampIfPresent("deadline")) ?? nil
      case (.pay, .undo): payment = .refunding
      case (.reserve, .forward):
        holdUntil = (try? command.payload.timestampIfPresent("expires_at")) ?? nil
      case (.hold, .forward):
        holdUntil = (try? command.payload.timestampIfPresent("until")) ?? nil
      default: break
      }
      // What is to be undone may stand, whatever is known of it.
      if direction == .undo, definition.hasDeadlines, blocked[step] == nil { standing.insert(step) }
    }

    mutating func apply(_ finished: SagaEvent.Finished, because failure: SagaFailure?) {
      let step = finished.step
      if step == .pay { payment = .settled }
      switch (finished.direction, finished.outcome) {
      case (.forward, .succeeded), (.forward, .notNeeded):
        standing.insert(step)
        if step == .pay { payment = .charged }
      case (.forward, .failed), (.forward, .refused), (.forward, .skipped):
        standing.remove(step)
      case (.forward, .timedOut):
        // Undoable from the moment that it was requested.
        standing.insert(step)
      case (.undo, .succeeded), (.undo, .notNeeded), (.undo, .skipped):
        standing.remove(step)
        blocked[step] = nil
      case (.undo, .failed), (.undo, .refused), (.undo, .timedOut):
        standing.remove(step)
        blocked[step] = failure?.reason ?? "no reason was given"
      }
    }
  }
}
