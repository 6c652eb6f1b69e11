import EventSourcing

/// A saga's row with the names that the reference's orchestrator gave to the same things, and with
/// the addresses of what belongs to it.
public enum SagaAnswer {
  /// - Parameter isWhole: with the addresses of the events of its history, too.
  public static func fields(of row: Fields, isWhole: Bool = false) -> Fields {
    let state = row["state"]?.stringValue ?? ""
    let steps = row["steps"]?.arrayValue?.compactMap(\.objectValue) ?? []
    func count(_ statuses: Set<String>) -> Value {
      .integer(Int64(steps.count { statuses.contains($0["status"]?.stringValue ?? "") }))
    }
    var fields = row
    fields["current_state"] = .string(state)
    fields["saga_status"] = .string(status(state, row))
    fields["created_at"] = row["started_at"]
    fields["error_message"] = row["reason"]
    fields["steps_count"] = .integer(Int64(steps.count))
    fields["completed_steps"] = count(["succeeded"])
    fields["failed_steps"] = count(["failed", "refused", "timed_out"])
    fields["is_complete"] = row["is_ended"]
    fields["links"] = .object(links(of: row))
    if isWhole, let history = row["history"]?.arrayValue {
      fields["history"] = .array(history.map(linked))
    }
    return fields
  }

  private static func status(_ state: String, _ row: Fields) -> String {
    if row["suspended"]?.objectValue != nil { return "suspended" }
    return switch state {
    case "completed", "compensated": state
    case "not_started", "reserving", "extending_hold", "charging", "confirming", "notifying":
      "in_progress"
    case "compensation_blocked": "blocked"
    default: "compensating"
    }
  }

  // MARK: Addresses

  private static let log = "/event-store/api/v1/events"

  /// Where a saga is, as paths of this API.
  static func address(of saga: String) -> String { "/saga/\(saga)" }

  private static func links(of row: Fields) -> Fields {
    guard let saga = row["saga_id"]?.stringValue, let order = row["order_id"]?.stringValue else {
      return [:]
    }
    var links: Fields = [
      "self": .string(address(of: saga)), "order": .string("/cqrs/queries/orders/\(order)"),
      "order_events": .string("\(log)/aggregate/orders/\(order)"),
    ]
    // A choreographed order has no stream of a saga.
    if row["is_stuck"] == nil { links["events"] = .string("\(log)/aggregate/sagas/\(saga)") }
    if let correlation = row["correlation_id"]?.stringValue {
      links["correlation"] = .string("\(log)/correlation/\(correlation)")
    }
    return links
  }

  /// An entry of the history with the addresses of its event and of the input that led to it.
  private static func linked(_ entry: Value) -> Value {
    guard var fields = entry.objectValue else { return entry }
    var links: Fields = [:]
    links["event"] = address(ofEventAt: fields["position"])
    links["input"] = address(ofEventAt: fields["input"])
    fields["links"] = .object(links)
    return .object(fields)
  }

  private static func address(ofEventAt position: Value?) -> Value? {
    position?.integerValue.map { .string("\(log)?after=\($0 - 1)&limit=1") }
  }
}
