/// A strict JSON reader (RFC 8259) that keeps numbers exact.
///
/// Refuses what Foundation's decoder lets through: duplicate keys, encodings other than UTF-8,
/// a byte order mark, unpaired surrogates, nesting deeper than ``maximumDepth``, numbers that do
/// not fit 64 bits. `1` is an integer; `1.0` is a decimal and never passes for an integer;
/// exponents are refused, since no field here is written with one.
public struct JSONReader {
  public static let maximumDepth = 32

  public struct SyntaxError: Error, Sendable, CustomStringConvertible {
    public var offset: Int
    public var reason: String
    public var description: String { "\(reason) at byte \(offset)" }
  }

  private let bytes: [UInt8]
  private let depthMax: Int
  private var index = 0

  private init(_ bytes: [UInt8], depthMax: Int) {
    self.bytes = bytes
    self.depthMax = depthMax
  }

  public static func value(from bytes: [UInt8]) throws(SyntaxError) -> Value {
    try value(from: bytes, depthMax: maximumDepth)
  }

  /// - Parameter depthMax: how deep values may be nested; more only for text of our own making.
  public static func value(
    from bytes: [UInt8], depthMax: Int
  ) throws(SyntaxError) -> Value {
    var reader = JSONReader(bytes, depthMax: depthMax)
    reader.skipSpace()
    let value = try reader.readValue(depth: 0)
    reader.skipSpace()
    guard reader.index == bytes.count else {
      throw reader.error("there is text after the JSON value")
    }
    return value
  }

  public static func value(from text: String) throws(SyntaxError) -> Value {
    try value(from: Array(text.utf8))
  }

  private func error(_ reason: String) -> SyntaxError {
    SyntaxError(offset: index, reason: reason)
  }

  private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      index += 1
    }
  }

  private mutating func readValue(depth: Int) throws(SyntaxError) -> Value {
    guard depth <= depthMax else { throw error("nested too deeply") }
    guard let current else { throw error("the JSON ends too early") }
    switch current {
    case UInt8(ascii: "{"): return .object(try readObject(depth: depth))
    case UInt8(ascii: "["): return .array(try readArray(depth: depth))
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"): return try readWord("true", .bool(true))
    case UInt8(ascii: "f"): return try readWord("false", .bool(false))
    case UInt8(ascii: "n"): return try readWord("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try readNumber()
    default: throw error("unexpected character")
    }
  }

  private mutating func readWord(
    _ word: StaticString, _ value: Value
  ) throws(SyntaxError) -> Value {
    let length = word.utf8CodeUnitCount
    guard index + length <= bytes.count else { throw error("unexpected word") }
    for offset in 0..<length where bytes[index + offset] != word.utf8Start[offset] {
      throw error("unexpected word")
    }
    index += length
    return value
  }

  private mutating func readObject(depth: Int) throws(SyntaxError) -> Fields {
    index += 1
    var entries: [Fields.Entry] = []
    var seen: Set<String> = []
    skipSpace()
    if current == UInt8(ascii: "}") {
      index += 1
      return Fields()
    }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw error("expected a key in quotes") }
      let key = try readString()
      let isNew =
        entries.count < 8
        ? !entries.contains { $0.key == key }
        : {
          if seen.isEmpty { seen = Set(entries.map(\.key)) }
          return seen.insert(key).inserted
        }()
      guard isNew else { throw error("the key \"\(key)\" appears twice") }
      skipSpace()
      guard current == UInt8(ascii: ":") else { throw error("expected ':'") }
      index += 1
      skipSpace()
      entries.append(Fields.Entry(key: key, value: try readValue(depth: depth + 1)))
      skipSpace()
      switch current {
      case UInt8(ascii: ","): index += 1
      case UInt8(ascii: "}"):
        index += 1
        return Fields(uniqueEntries: entries)
      default: throw error("expected ',' or '}'")
      }
    }
  }

  private mutating func readArray(depth: Int) throws(SyntaxError) -> [Value] {
    index += 1
    var values: [Value] = []
    skipSpace()
    if current == UInt8(ascii: "]") {
      index += 1
      return values
    }
    while true {
      skipSpace()
      values.append(try readValue(depth: depth + 1))
      skipSpace()
      switch current {
      case UInt8(ascii: ","): index += 1
      case UInt8(ascii: "]"):
        index += 1
        return values
      default: throw error("expected ',' or ']'")
      }
    }
  }

  private mutating func readNumber() throws(SyntaxError) -> Value {
    let isNegative = current == UInt8(ascii: "-")
    if isNegative { index += 1 }
    let firstDigit = index
    var unscaled: Int64 = 0
    var scale = 0
    var isDecimal = false
    while let byte = current {
      if byte >= 48, byte <= 57 {
        let digit = Int64(byte - 48)
        let (product, overflowed) = unscaled.multipliedReportingOverflow(by: 10)
        let (sum, overflowedAgain) =
          isNegative
          ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
        guard !overflowed, !overflowedAgain else { throw error("the number is out of range") }
        unscaled = sum
        if isDecimal { scale += 1 }
        index += 1
      } else if byte == UInt8(ascii: "."), !isDecimal {
        guard index > firstDigit else { throw error("malformed number") }
        isDecimal = true
        index += 1
      } else if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
        throw error("numbers with an exponent are refused")
      } else {
        break
      }
    }
    guard index > firstDigit, !(isDecimal && scale == 0) else { throw error("malformed number") }
    let hasLeadingZero = bytes[firstDigit] == 48 && index > firstDigit + 1
    if hasLeadingZero, bytes[firstDigit + 1] != UInt8(ascii: ".") {
      throw error("a number starts with a needless zero")
    }
    guard isDecimal else { return .integer(unscaled) }
    guard scale <= 18 else { throw error("the number has too many digits") }
    return .decimal(FixedDecimal(unscaled: unscaled, scale: scale))
  }

  private mutating func readString() throws(SyntaxError) -> String {
    index += 1
    let start = index
    while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
      index += 1
    }
    var content = Array(bytes[start..<index])
    while let byte = current, byte != UInt8(ascii: "\"") {
      if byte < 0x20 { throw error("a control character in a string") }
      if byte == UInt8(ascii: "\\") {
        try readEscape(into: &content)
      } else {
        content.append(byte)
        index += 1
      }
    }
    guard current != nil else { throw error("the string does not end") }
    index += 1
    guard let text = String(validating: content, as: UTF8.self) else {
      throw error("a string is not valid UTF-8")
    }
    return text
  }

  private mutating func readEscape(into content: inout [UInt8]) throws(SyntaxError) {
    index += 1
    guard let escape = current else { throw error("the string does not end") }
    index += 1
    switch escape {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(escape)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"):
      var code = try readHexadecimal()
      if (0xD800..<0xDC00).contains(code) {
        guard current == UInt8(ascii: "\\"), index + 1 < bytes.count,
          bytes[index + 1] == UInt8(ascii: "u")
        else { throw error("an unpaired surrogate") }
        index += 2
        let low = try readHexadecimal()
        guard (0xDC00..<0xE000).contains(low) else { throw error("an unpaired surrogate") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("an unpaired surrogate") }
      content.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw error("unknown escape")
    }
  }

  private mutating func readHexadecimal() throws(SyntaxError) -> UInt32 {
    guard index + 4 <= bytes.count else { throw error("malformed \\u escape") }
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue else {
        throw error("malformed \\u escape")
      }
      code = code << 4 | UInt32(digit)
      index += 1
    }
    return code
  }
}
