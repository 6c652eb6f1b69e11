import Commerce
import EventSourcing

/// Rows show what is not there as null, so that their shape is always the same.
extension Value {
  static func optional(_ text: String?) -> Value { text.map(Value.string) ?? .null }
  static func optional(_ integer: Int64?) -> Value { integer.map(Value.integer) ?? .null }
  static func optional(_ fields: Fields?) -> Value { fields.map(Value.object) ?? .null }
  static func optional(_ time: Timestamp?) -> Value { optional(time?.iso8601) }
  static func optional(_ position: Position?) -> Value { optional(position?.rawValue) }

  static func time(_ time: Timestamp) -> Value { .string(time.iso8601) }
  static func position(_ position: Position) -> Value { .integer(position.rawValue) }
}

extension Fields {
  func position(_ key: String) throws(FieldError) -> Position { Position(try integer(key)) }

  /// Empty when there are none.
  func positionsIfPresent(_ key: String) throws(FieldError) -> [Position] {
    guard let values = self[key]?.arrayValue else { return [] }
    var positions: [Position] = []
    for value in values {
      guard let number = value.integerValue else {
        throw FieldError(key, .invalid("holds something that is no position"))
      }
      positions.append(Position(number))
    }
    return positions
  }

  /// A text of a closed set.
  func choice<Choice: RawRepresentable<String>>(
    _ key: String, of: Choice.Type = Choice.self
  ) throws(FieldError) -> Choice {
    let text = try string(key)
    guard let choice = Choice(rawValue: text) else {
      throw FieldError(key, .invalid("is \(text), which is not known"))
    }
    return choice
  }
}
