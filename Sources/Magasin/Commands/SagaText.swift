import EventSourcing
import Projections

/// A saga for a person at a terminal.
struct SagaText {
  let row: SagaRow
  /// The same as JSON, with links.
  let fields: Fields

  var text: String {
    ([head] + waiting + steps + history + links).joined(separator: "\n")
  }

  private var head: String { "\(row.sagaID): \(row.state), by \(row.definition)" }

  private var waiting: [String] {
    var lines: [String] = []
    if let reason = row.waitingFor {
      lines.append("  waits for \(reason), since \(row.waitingSince.iso8601)")
    }
    if let timer = row.timer {
      lines.append("  next timer: \(timer.name), due \(timer.due.iso8601)")
    }
    if let suspension = row.suspension {
      let place = suspension.position.map { " at the input of position \($0)" } ?? ""
      lines.append(
        "  suspended since \(suspension.since.iso8601)\(place): \(suspension.reason)")
    }
    if let code = row.code { lines.append("  turned back: \(code), \(row.reason ?? "")") }
    lines.append("  commands sent so far: \(row.attempts)")
    return lines
  }

  private var steps: [String] {
    ["steps:"]
      + row.steps.map { step in
        let since = (step.finishedAt ?? step.requestedAt).map { " at \($0.iso8601)" } ?? ""
        let reason = step.reason.map { ": \($0)" } ?? ""
        return "  \(step.step) \(step.direction) \(step.status)\(since)\(reason)"
      }
  }

  private var history: [String] {
    ["history:"]
      + row.history.map { change in
        let input = change.input.map { ", by the event at \($0)" } ?? ""
        let hand = change.by.map { ", by \($0): \(change.reason ?? "")" } ?? ""
        return "  \(change.position) \(change.timestamp.iso8601) \(change.event), \(change.state)"
          + input + hand
      }
  }

  private var links: [String] {
    guard let links = fields["links"]?.objectValue else { return [] }
    return ["links:"] + links.entries.map { "  \($0.key): \($0.value.stringValue ?? "")" }
  }
}
