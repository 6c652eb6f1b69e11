import Commerce
import EventSourcing

/// A choreographed order as a watcher sees it: who has done what, and who is waited for. Its JSON
/// has the keys of a saga's row.
public struct ChoreographyRow: QueriedRow {
  public static let internalKeys: Set<String> = ["position_started"]
  public static let definition = "order-fulfilment.choreographed.v1"

  public struct Change: Sendable, Equatable {
    /// The type of the event.
    public var event: String
    public var state: String
    public var timestamp: Timestamp
    public var position: Position
  }

  public var orderID: OrderID
  /// In the order in which their turn came.
  public var steps: [ChoreographyStep]
  /// Why the order turns back: the first reason stays.
  public var reason: String?
  /// As in `CARD_DECLINED`; nil while the order goes forward.
  public var code: String?
  public var history: [Change]
  public var startedAt: Timestamp
  /// Of the last event: since then nothing has moved.
  public var updatedAt: Timestamp
  public var positionStarted: Position

  init(_ order: OrderID, at event: Recorded) {
    orderID = order
    steps = []
    history = []
    startedAt = event.timestamp
    updatedAt = event.timestamp
    positionStarted = event.position
  }

  public enum State: String, Sendable, CaseIterable {
    case reserving, charging, confirming, notifying
    /// Has ended, but the customer may still cancel.
    case completed
    /// The order is being cancelled, or was, and not everything is undone.
    case compensating
    /// Has ended.
    case compensated

    public var isEnded: Bool { self == .completed || self == .compensated }
  }

  public var state: State {
    guard code == nil else {
      let isUndone = isCancelled && !steps.contains(where: \.isOpenUndo)
      return isUndone ? .compensated : .compensating
    }
    if self[.reserve, .forward]?.status == .requested { return .reserving }
    if self[.pay, .forward]?.status == .requested { return .charging }
    if self[.confirm, .forward]?.status == .requested { return .confirming }
    if self[.notify, .forward]?.status == .requested { return .notifying }
    return .completed
  }

  /// Since when nothing has moved; nil when it has ended.
  public var waitingSince: Timestamp? { state.isEnded ? nil : updatedAt }

  /// The answer to "who is missing?"; nil when it has ended.
  public var waitingFor: String? {
    switch state {
    case .completed, .compensated: nil
    case .reserving: "the inventory participant to reserve the stock"
    case .charging:
      hasSeen(PaymentInitiated.type)
        ? "the payment service's answer" : "the payments participant to ask for the payment"
    case .confirming: "the orders participant to confirm the order"
    case .notifying: "the confirmation message to be sent"
    case .compensating:
      steps.filter(\.isOpenUndo).map(undoWaitedFor).joined(separator: ", ")
    }
  }

  private func undoWaitedFor(_ step: ChoreographyStep) -> String {
    switch step.name {
    case .reserve: "the inventory participant to release the stock"
    case .pay:
      hasSeen(PaymentRefundRequested.type)
        ? "the payment service's answer to the refund"
        : "the payments participant to give the payment back"
    case .place, .confirm, .notify: "the orders participant to cancel the order"
    }
  }

  var isCancelled: Bool { self[.place, .undo]?.status == .succeeded }

  private func hasSeen(_ type: String) -> Bool { history.contains { $0.event == type } }
}

extension ChoreographyRow {
  public init(fields: Fields) throws {
    orderID = try fields.orderID()
    steps = try fields.objects("steps", decode: ChoreographyStep.init(fields:))
    reason = try fields.stringIfPresent("reason")
    code = try fields.stringIfPresent("code")
    history = try fields.objects("history", decode: Change.init(fields:))
    startedAt = try fields.timestamp("started_at")
    updatedAt = try fields.timestamp("updated_at")
    positionStarted = try fields.position("position_started")
  }

  public var fields: Fields {
    let state = state
    return [
      "saga_id": .string(orderID.sagaID),
      "order_id": .string(orderID.text),
      "definition": .string(Self.definition),
      "state": .string(state.rawValue),
      "is_ended": .bool(state.isEnded),
      "waiting_for": .optional(waitingFor),
      "waiting_since": .optional(waitingSince),
      "steps": .array(steps.map { .object($0.fields(of: orderID)) }),
      "reason": .optional(reason),
      "code": .optional(code),
      "attempts": .integer(Int64(steps.count { $0.requestedAt != nil })),
      "history": .array(history.map { .object($0.fields) }),
      "started_at": .time(startedAt),
      "updated_at": .time(updatedAt),
      "position_started": .position(positionStarted),
    ]
  }
}

extension ChoreographyRow.Change {
  fileprivate init(fields: Fields) throws {
    self.init(
      event: try fields.string("event"), state: try fields.string("state"),
      timestamp: try fields.timestamp("timestamp"), position: try fields.position("position"))
  }

  fileprivate var fields: Fields {
    [
      "event": .string(event), "state": .string(state), "timestamp": .time(timestamp),
      "position": .position(position),
    ]
  }
}
