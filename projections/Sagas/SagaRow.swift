import Commerce
import EventSourcing

/// A saga: where it stands, what it has asked for, what it waits for.
public struct SagaRow: QueriedRow {
  public static let internalKeys: Set<String> = [
    "position_started", "timer_due", "suspended_since",
  ]

  public struct Step: Sendable, Equatable {
    /// As in `pay`.
    public var step: String
    /// `forward` or `undo`.
    public var direction: String
    /// `requested`, or its outcome: `succeeded`, `failed`, `refused`, `not_needed`.
    public var status: String
    /// Nil for a step that the saga never asked for: a payment by hand, an undo without need.
    public var effectID: String?
    public var requestedAt: Timestamp?
    public var finishedAt: Timestamp?
    /// Why it failed or was refused.
    public var reason: String?
  }

  public struct Change: Sendable, Equatable {
    /// The type of the saga's event.
    public var event: String
    public var state: String
    public var timestamp: Timestamp
    public var position: Position
    /// The event of the log that led to it; nil for a timer, an operator, a refusal.
    public var input: Position?
    /// Who did it by hand, and why.
    public var by: String?
    public var reason: String?
  }

  /// Why it does not move.
  public struct Suspension: Sendable, Equatable {
    public var reason: String
    /// The input that it could not take.
    public var position: Position?
    public var since: Timestamp
  }

  public var sagaID: String
  public var orderID: OrderID
  /// As in `order-fulfilment.v1`.
  public var definition: String
  public var state: String
  /// In the order in which they were first asked for.
  public var steps: [Step]
  /// Why the saga turned back: the first reason stays.
  public var reason: String?
  /// As in `CARD_DECLINED`.
  public var code: String?
  /// Commands that the saga has decided to send.
  public var attempts: Int64
  public var history: [Change]
  public var startedAt: Timestamp
  public var updatedAt: Timestamp
  public var positionStarted: Position
  /// Since when it is in its state.
  public var waitingSince: Timestamp
  public var timer: SagaTimer?
  public var suspension: Suspension?
  /// Of all events of the order.
  public var correlationID: String?

  init(_ entry: SagaEntry, at event: Recorded) {
    sagaID = entry.sagaID
    orderID = entry.orderID
    definition = entry.definition
    state = entry.state
    steps = []
    attempts = 0
    history = []
    startedAt = event.timestamp
    updatedAt = event.timestamp
    positionStarted = event.position
    waitingSince = event.timestamp
    correlationID = event.correlationID.text
  }

  /// The states in which a saga has something to wait for; in the others only when it is suspended.
  public static let openStates = [
    "reserving", "extending_hold", "charging", "confirming", "notifying",
    "cancelling", "refunding", "releasing", "cancelling_order", "voiding_payment",
    "compensation_blocked",
  ]

  /// Also when its order could not be read and was left out: it will never begin.
  public var isEnded: Bool {
    suspension == nil && ["completed", "compensated", "not_started"].contains(state)
  }

  /// The answer to "why is it waiting?"; nil when it has ended.
  public var waitingFor: String? {
    if let suspension { return "an operator: it is suspended (\(suspension.reason))" }
    return switch state {
    case "completed", "compensated", "not_started": nil
    case "reserving": "the stock to be reserved"
    case "extending_hold": "the stock to be held for longer"
    case "charging": "the payment service's answer"
    case "confirming": "the order to be confirmed"
    case "notifying": "the confirmation message to be sent"
    case "cancelling": "the outcome of \(openStep), which then has to be undone"
    case "refunding": "the payment service's answer to the refund"
    case "releasing": "the reserved stock to be released"
    case "cancelling_order": "the order to be cancelled"
    case "voiding_payment": "the payment service to say whether it charged"
    case "compensation_blocked": "an operator: \(blockedStep)"
    default: "the next event of \(state)"
    }
  }

  private var openStep: String {
    switch steps.last(where: { $0.status == Self.requested })?.step {
    case "reserve": "the stock reservation"
    case "pay": "the payment"
    case "confirm": "the order's confirmation"
    case let step?: "the step \(step)"
    case nil: "the step under way"
    }
  }

  private var blockedStep: String {
    let blocked = steps.filter {
      $0.direction == "undo" && ["refused", "failed", "timed_out"].contains($0.status)
    }
    if blocked.isEmpty { return "an undo does not succeed" }
    return blocked.map { step in
      let undo =
        switch step.step {
        case "reserve": "the release of the stock"
        case "pay": "the refund"
        case "place": "the cancellation of the order"
        default: "the undo of \(step.step)"
        }
      return "\(undo) was \(step.status) (\(step.reason ?? "no reason given"))"
    }.joined(separator: ", ")
  }

  private static let requested = "requested"

  mutating func apply(_ entry: SagaEntry, at event: Recorded) throws {
    if state != entry.state || history.isEmpty { waitingSince = event.timestamp }
    state = entry.state
    timer = entry.timer
    switch event.type {
    case "SagaSuspended":
      suspension = Suspension(
        reason: entry.reason ?? "", position: entry.input.map(Position.init),
        since: event.timestamp)
    case "SagaResumed", "SagaInputSkipped": suspension = nil
    default: break
    }
    if !entry.isMark {
      reason = reason ?? entry.reason
      code = code ?? entry.code
    }
    updatedAt = event.timestamp
    if let finished = entry.finished { finish(finished, entry.reason, at: event.timestamp) }
    for effectID in entry.effectIDs { request(effectID, at: event.timestamp) }
    try attempts.add(Int64(entry.effectIDs.count))
    history.append(
      Change(
        event: event.type, state: state, timestamp: event.timestamp, position: event.position,
        input: entry.input.map(Position.init), by: entry.by,
        reason: entry.actReason))
  }

  private mutating func finish(
    _ finished: SagaEntry.Finished, _ reason: String?, at time: Timestamp
  ) {
    var index = steps.count
    if let asked = steps.lastIndex(where: {
      $0.step == finished.step && $0.direction == finished.direction
    }) {
      index = asked
    } else {
      steps.append(Step(step: finished.step, direction: finished.direction, status: ""))
    }
    let isBad = ["failed", "refused", "timed_out"].contains(finished.outcome)
    steps[index].status = finished.outcome
    steps[index].finishedAt = time
    steps[index].reason = isBad ? reason : nil
  }

  /// An effect that is asked for again stays one step.
  private mutating func request(_ effectID: String, at time: Timestamp) {
    if let index = steps.firstIndex(where: { $0.effectID == effectID }) {
      steps[index].status = Self.requested
      steps[index].finishedAt = nil
      steps[index].reason = nil
      return
    }
    let parts = effectID.split(separator: "/", omittingEmptySubsequences: false)
    steps.append(
      Step(
        step: parts.count == 4 ? String(parts[1]) : effectID,
        direction: parts.count == 4 ? String(parts[2]) : "forward", status: Self.requested,
        effectID: effectID, requestedAt: time))
  }
}

extension SagaRow {
  public init(fields: Fields) throws {
    sagaID = try fields.string("saga_id")
    orderID = try fields.orderID()
    definition = try fields.string("definition")
    state = try fields.string("state")
    steps = try fields.objects("steps", decode: Step.init(fields:))
    reason = try fields.stringIfPresent("reason")
    code = try fields.stringIfPresent("code")
    attempts = try fields.integer("attempts")
    history = try fields.objects("history", decode: Change.init(fields:))
    startedAt = try fields.timestamp("started_at")
    updatedAt = try fields.timestamp("updated_at")
    positionStarted = try fields.position("position_started")
    waitingSince = try fields.timestampIfPresent("waiting_since") ?? updatedAt
    timer = try fields.objectIfPresent("next_timer").map(SagaTimer.init(fields:))
    suspension = try fields.objectIfPresent("suspended").map(Suspension.init(fields:))
    correlationID = try fields.stringIfPresent("correlation_id")
  }

  public var fields: Fields {
    [
      "saga_id": .string(sagaID),
      "order_id": .string(orderID.text),
      "definition": .string(definition),
      "state": .string(state),
      "is_ended": .bool(isEnded),
      "waiting_for": .optional(waitingFor),
      "waiting_since": isEnded ? .null : .time(waitingSince),
      "next_timer": timer?.value ?? .null,
      "timer_due": timer.map { .string($0.due.iso8601) } ?? .null,
      "suspended": suspension.map { .object($0.fields) } ?? .null,
      "suspended_since": .optional(suspension?.since),
      "steps": .array(steps.map { .object($0.fields) }),
      "reason": .optional(reason),
      "code": .optional(code),
      "attempts": .integer(attempts),
      "history": .array(history.map { .object($0.fields) }),
      "started_at": .time(startedAt),
      "updated_at": .time(updatedAt),
      "position_started": .position(positionStarted),
      "correlation_id": .optional(correlationID),
    ]
  }
}

extension SagaRow.Step {
  fileprivate init(fields: Fields) throws {
    self.init(
      step: try fields.string("step"), direction: try fields.string("direction"),
      status: try fields.string("status"), effectID: try fields.stringIfPresent("effect_id"),
      requestedAt: try fields.timestampIfPresent("requested_at"),
      finishedAt: try fields.timestampIfPresent("finished_at"),
      reason: try fields.stringIfPresent("reason"))
  }

  fileprivate var fields: Fields {
    [
      "step": .string(step), "direction": .string(direction), "status": .string(status),
      "effect_id": .optional(effectID), "requested_at": .optional(requestedAt),
      "finished_at": .optional(finishedAt), "reason": .optional(reason),
    ]
  }
}

extension SagaRow.Change {
  fileprivate init(fields: Fields) throws {
    self.init(
      event: try fields.string("event"), state: try fields.string("state"),
      timestamp: try fields.timestamp("timestamp"), position: try fields.position("position"),
      input: try fields.integerIfPresent("input").map(Position.init),
      by: try fields.stringIfPresent("by"), reason: try fields.stringIfPresent("reason"))
  }

  fileprivate var fields: Fields {
    var fields: Fields = [
      "event": .string(event), "state": .string(state), "timestamp": .time(timestamp),
      "position": .position(position),
    ]
    fields["input"] = input.map(Value.position)
    fields["by"] = by.map(Value.string)
    fields["reason"] = reason.map(Value.string)
    return fields
  }
}

extension SagaRow.Suspension {
  fileprivate init(fields: Fields) throws {
    self.init(
      reason: try fields.string("reason"),
      position: try fields.integerIfPresent("position").map(Position.init),
      since: try fields.timestamp("since"))
  }

  fileprivate var fields: Fields {
    var fields: Fields = ["reason": .string(reason), "since": .time(since)]
    fields["position"] = position.map(Value.position)
    return fields
  }
}
