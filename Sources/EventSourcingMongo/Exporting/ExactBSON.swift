import EventSourcing
import Mongo

/// Writes the BSON for which ``ExactJSON`` stands.
struct ExactBSON {
  private(set) var bytes: [UInt8] = []

  /// The document for which an object stands.
  static func document(_ fields: Fields) throws -> BSONDocument {
    var writer = ExactBSON()
    try writer.appendDocument(fields)
    return BSONDocument(bytes: writer.bytes)
  }

  private mutating func appendDocument(_ fields: Fields) throws {
    let start = begin()
    for entry in fields.entries {
      var key = entry.key
      if key.hasPrefix("$") {
        key.removeFirst()
        guard key.hasPrefix("$") else {
          throw UnreadableDocument(reason: "\"\(entry.key)\" does not belong there")
        }
      }
      try append(key, entry.value)
    }
    end(start)
  }

  private mutating func append(_ key: String, _ value: Value) throws {
    switch value {
    case .null: try begin(0x0A, key)
    case .bool(let bool):
      try begin(0x08, key)
      bytes.append(bool ? 1 : 0)
    case .integer(let integer):
      try begin(0x12, key)
      appendInteger(integer)
    case .decimal(let decimal):
      try begin(0x13, key)
      appendDecimal(
        isNegative: decimal.unscaled < 0, coefficient: decimal.unscaled.magnitude,
        scale: decimal.scale)
    case .string(let text):
      try begin(0x02, key)
      appendInteger(Int32(text.utf8.count + 1))
      bytes.append(contentsOf: text.utf8)
      bytes.append(0)
    case .array(let values):
      try begin(0x04, key)
      let start = begin()
      for (index, value) in values.enumerated() { try append(String(index), value) }
      end(start)
    case .object(let fields):
      if let first = fields.entries.first, first.key.hasPrefix("$"), !first.key.hasPrefix("$$") {
        try appendMarked(key, first, fields)
      } else {
        try begin(0x03, key)
        try appendDocument(fields)
      }
    }
  }

  /// A value that plain JSON cannot tell from another.
  private mutating func appendMarked(
    _ key: String, _ mark: Fields.Entry, _ fields: Fields
  ) throws {
    guard fields.count == (mark.key == "$binary" ? 2 : 1), let value = Marked(mark, fields) else {
      throw UnreadableDocument(reason: "malformed \"\(mark.key)\"")
    }
    switch value {
    case .int32(let integer):
      try begin(0x10, key)
      appendInteger(integer)
    case .date(let milliseconds):
      try begin(0x09, key)
      appendInteger(milliseconds)
    case .binary(let content, let subtype):
      try begin(0x05, key)
      appendInteger(Int32(content.count))
      bytes.append(subtype)
      bytes.append(contentsOf: content)
    case .decimal(let isNegative, let decimal):
      try begin(0x13, key)
      appendDecimal(
        isNegative: isNegative, coefficient: decimal.unscaled.magnitude, scale: decimal.scale)
    }
  }

  private enum Marked {
    case int32(Int32)
    case date(milliseconds: Int64)
    case binary([UInt8], subtype: UInt8)
    case decimal(isNegative: Bool, FixedDecimal)

    /// Nil when it is malformed.
    init?(_ mark: Fields.Entry, _ fields: Fields) {
      let text = mark.value.stringValue
      let integer = mark.value.integerValue
      switch mark.key {
      case "$int32":
        guard let value = integer.flatMap({ Int32(exactly: $0) }) else { return nil }
        self = .int32(value)
      case "$date":
        let time = text.flatMap { Timestamp(iso8601: $0) }?.millisecondsSinceEpoch
        guard let milliseconds = integer ?? time else { return nil }
        self = .date(milliseconds: milliseconds)
      case "$uuid":
        guard let uuid = text.flatMap({ Hexadecimal.uuidBytes($0) }) else { return nil }
        self = .binary(uuid, subtype: 4)
      case "$binary":
        guard let content = text.flatMap({ Hexadecimal.bytes($0) }),
          let subtype = fields["$subtype"]?.integerValue.flatMap({ UInt8(exactly: $0) })
        else { return nil }
        self = .binary(content, subtype: subtype)
      case "$decimal":
        guard let text, let decimal = (try? JSONReader.value(from: text))?.decimalValue,
          text == "\(decimal)" || decimal.unscaled == 0 && text == "-\(decimal)"
        else { return nil }
        self = .decimal(isNegative: text.hasPrefix("-"), decimal)
      default: return nil
      }
    }
  }

  private mutating func begin(_ type: UInt8, _ key: String) throws {
    guard !key.utf8.contains(0) else { throw UnreadableDocument(reason: "a key holds a NUL") }
    bytes.append(type)
    bytes.append(contentsOf: key.utf8)
    bytes.append(0)
  }

  private mutating func begin() -> Int {
    defer { appendInteger(Int32(0)) }
    return bytes.count
  }

  private mutating func end(_ start: Int) {
    bytes.append(0)
    let length = UInt32(bytes.count - start)
    for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
  }

  private mutating func appendDecimal(isNegative: Bool, coefficient: UInt64, scale: Int) {
    appendInteger(coefficient)
    appendInteger(UInt64(6176 - scale) << 49 | (isNegative ? 1 << 63 : 0))
  }

  private mutating func appendInteger(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
