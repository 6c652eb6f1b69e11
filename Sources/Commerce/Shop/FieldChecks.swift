import EventSourcing

extension FieldError {
  /// Refuses text that is blank or has more than `lengthMax` bytes of UTF-8.
  static func check(_ field: String, _ text: String, lengthMax: Int) throws(FieldError) {
    guard text.contains(where: { !$0.isWhitespace }) else {
      throw FieldError(field, .invalid("must not be empty"))
    }
    guard text.utf8.count <= lengthMax else {
      throw FieldError(field, .invalid("must not be longer than \(lengthMax) bytes"))
    }
  }

  static func check(
    _ field: String, _ number: Int64, in range: ClosedRange<Int64>
  ) throws(FieldError) {
    guard range.contains(number) else {
      throw FieldError(
        field, .invalid("must be from \(range.lowerBound) to \(range.upperBound)"))
    }
  }
}
