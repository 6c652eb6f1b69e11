import Commerce
import EventSourcing

/// What a participant has to do, or to undo, for an order.
public struct ChoreographyStep: Sendable, Equatable {
  public enum Name: String, Sendable { case place, reserve, pay, confirm, notify }
  public enum Direction: String, Sendable { case forward, undo }
  public enum Status: String, Sendable {
    /// Its turn has come; nobody has said yet how it went.
    case requested
    case succeeded, failed, refused
    case notNeeded = "not_needed"
  }

  public var name: Name
  public var direction: Direction
  public var status: Status
  /// When the event happened that it is the reaction to. Nil when it was done before its turn.
  public var requestedAt: Timestamp?
  public var finishedAt: Timestamp?
  /// Why it failed or was refused.
  public var reason: String?

  var isOpenUndo: Bool { direction == .undo && status == .requested }

  /// Participants use the effect ids of the saga: order / step / direction / 1.
  func effectID(of order: OrderID) -> String {
    "\(order.text)/\(name.rawValue)/\(direction.rawValue)/1"
  }
}

extension ChoreographyStep {
  init(fields: Fields) throws {
    self.init(
      name: try fields.choice("step"), direction: try fields.choice("direction"),
      status: try fields.choice("status"),
      requestedAt: try fields.timestampIfPresent("requested_at"),
      finishedAt: try fields.timestampIfPresent("finished_at"),
      reason: try fields.stringIfPresent("reason"))
  }

  func fields(of order: OrderID) -> Fields {
    [
      "step": .string(name.rawValue), "direction": .string(direction.rawValue),
      "status": .string(status.rawValue), "effect_id": .string(effectID(of: order)),
      "requested_at": .optional(requestedAt), "finished_at": .optional(finishedAt),
      "reason": .optional(reason),
    ]
  }
}
