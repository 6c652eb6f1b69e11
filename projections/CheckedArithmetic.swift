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
