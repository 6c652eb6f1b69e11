import Commerce
import EventSourcing

/// Which recorded events a read model takes for the domain's own.
///
/// People may append events by hand, of any type, to any stream. Those of another category, and
/// types that the domain does not have, are nobody's business here. An event of a known type in
/// the domain's own stream that cannot be read is corruption, and stops the read model.
extension Recorded {
  /// Whether this is one of `types` in a stream of `decider`.
  func isOne<D: Decider>(of types: Set<String>, in decider: D.Type) -> Bool {
    stream.category == D.category && types.contains(type)
  }
}

/// A count or an amount does not fit into 64 bits.
struct NumberOutOfRange: Error, CustomStringConvertible {
  var description: String { "a count or an amount is out of range" }
}

extension Int64 {
  /// Adds without trapping: what people append by hand may be as large as they like.
  mutating func add(_ other: Int64) throws(NumberOutOfRange) {
    let (sum, overflow) = addingReportingOverflow(other)
    guard !overflow else { throw NumberOutOfRange() }
    self = sum
  }

  mutating func subtract(_ other: Int64) throws(NumberOutOfRange) {
    let (difference, overflow) = subtractingReportingOverflow(other)
    guard !overflow else { throw NumberOutOfRange() }
    self = difference
  }
}
