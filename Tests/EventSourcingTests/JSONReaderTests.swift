import EventSourcing
import Testing

/// A text and what the reader makes of it.
struct AcceptedText: Sendable, CustomTestStringConvertible {
  var text: String
  var value: Value

  init(_ text: String, _ value: Value) {
    self.text = text
    self.value = value
  }

  var testDescription: String { text }
}

enum JSONTexts {
  static let accepted: [AcceptedText] = [
    AcceptedText("null", .null),
    AcceptedText("true", .bool(true)),
    AcceptedText(" \t\r\n false \n", .bool(false)),
    AcceptedText("0", .integer(0)),
    AcceptedText("-0", .integer(0)),
    AcceptedText("9223372036854775807", .integer(.max)),
    AcceptedText("-9223372036854775808", .integer(.min)),
    AcceptedText("1.0", .decimal(FixedDecimal(unscaled: 10, scale: 1))),
    AcceptedText("-0.05", .decimal(FixedDecimal(unscaled: -5, scale: 2))),
    AcceptedText("\"\"", .string("")),
    AcceptedText("\"caf\u{E9} \u{1F600}\"", .string("caf\u{E9} \u{1F600}")),
    AcceptedText(#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
    AcceptedText(#""\u0000\u00e9\u00E9\ud83d\uDE00""#, .string("\u{0}\u{E9}\u{E9}\u{1F600}")),
    AcceptedText("[]", .array([])),
    AcceptedText("[ 1 , [ ] , \"a\" ]", .array([.integer(1), .array([]), .string("a")])),
    AcceptedText("{}", .object(Fields())),
    AcceptedText("{ \"\" : null }", .object(Fields([("", .null)]))),
    AcceptedText(
      "{\"b\":1,\"a\":{\"b\":2}}",
      .object(Fields([("b", .integer(1)), ("a", .object(Fields([("b", .integer(2))])))]))),
  ]

  static let refused: [String] = [
    // Not one whole value.
    "", " ", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "[1", "[1,", "1 2", "{} {}", "1,", "]",
    // Nearly JSON.
    "[1,]", "[,1]", "[1 2]", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{1:1}", "{\"a\" 1}",
    "'a'", "// comment\n1", "1 /* comment */", "\u{FEFF}{}", "\u{C}1", "\u{A0}1",
    // Words.
    "tru", "True", "nul", "nullx", "NaN", "Infinity", "-Infinity", "undefined",
    // Numbers.
    "-", "+1", "01", "-01", "00", "00.5", ".5", "-.5", "1.", "1.2.3", "0x10", "1_000", "--1",
    "1e2", "1E2", "1.0e-3", "0e0", "9223372036854775808", "-9223372036854775809",
    "92233720368547758.08", "0.0000000000000000001",
    // Strings.
    "\"a", "\"a\\\"", "\"\\", "\"\\x41\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\U0041\"",
    "\"a\nb\"", "\"a\tb\"", "\"\u{0}\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
    "\"\\ud800\\\"", "\"\\ud800x\"",
    // Keys that are there twice, in whatever spelling.
    "{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"a\":3}", #"{"a":1,"\u0061":2}"#,
    "[{\"a\":{\"b\":1,\"b\":2}}]",
  ]

  /// Not UTF-8, each between quotes: a lone continuation, a cut sequence, an overlong slash, an
  /// encoded surrogate, beyond Unicode, Latin-1.
  static let malformed: [[UInt8]] = [
    [0x80], [0xE2, 0x82], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE9],
  ]

  static let decimals: [String] = [
    "199.99", "0.00", "0.1", "1.5", "1.50", "-0.01", "-199.90", "0.000000000000000001",
    "9.223372036854775807", "-9.223372036854775808", "92233720368547758.07", "1000000.0",
  ]
}

@Suite("The JSON reader")
struct JSONReaderTests {
  @Test("a legal text gives its value", arguments: JSONTexts.accepted)
  func accepts(_ accepted: AcceptedText) throws {
    let value = try JSONReader.value(from: accepted.text)
    #expect(value == accepted.value)
  }

  @Test("what is written is read back the same", arguments: JSONTexts.accepted)
  func roundTrip(_ accepted: AcceptedText) throws {
    let written = JSONWriter.text(accepted.value)
    let value = try JSONReader.value(from: written)
    #expect(value == accepted.value)
    #expect(JSONWriter.text(value) == written)
  }

  @Test("anything else is refused", arguments: JSONTexts.refused)
  func refuses(_ text: String) {
    #expect(throws: JSONReader.SyntaxError.self) { try JSONReader.value(from: text) }
  }

  @Test("a string that is not UTF-8 is refused", arguments: JSONTexts.malformed)
  func refusesEncoding(_ content: [UInt8]) {
    let quote = UInt8(ascii: "\"")
    let bytes: [UInt8] = [quote] + content + [quote]
    #expect(throws: JSONReader.SyntaxError.self) { try JSONReader.value(from: bytes) }
  }

  @Test("UTF-16 and a UTF-8 byte order mark are refused")
  func refusesByteOrderMarks() {
    let texts: [[UInt8]] = [
      [0xEF, 0xBB, 0xBF, 0x31], [0xFF, 0xFE, 0x31, 0x00], [0x31, 0x00], [0x00, 0x31],
    ]
    for bytes in texts {
      #expect(throws: JSONReader.SyntaxError.self) { try JSONReader.value(from: bytes) }
    }
  }

  @Test("a decimal keeps every digit", arguments: JSONTexts.decimals)
  func exactDecimals(_ text: String) throws {
    let value = try JSONReader.value(from: text)
    guard case .decimal(let decimal) = value else {
      Issue.record("\(text) was read as \(value.kind)")
      return
    }
    #expect(decimal.description == text)
    #expect(JSONWriter.text(value) == text)
  }

  @Test("an integer and a decimal of the same amount are not the same value")
  func kindsOfNumbers() throws {
    let integer = try JSONReader.value(from: "1")
    let decimal = try JSONReader.value(from: "1.0")
    #expect(integer.integerValue == 1)
    #expect(decimal.integerValue == nil)
    #expect(integer != decimal)
  }

  @Test("nesting is bounded, by arrays and by objects")
  func depth() throws {
    func arrays(_ count: Int) -> String {
      String(repeating: "[", count: count) + String(repeating: "]", count: count)
    }
    func objects(_ count: Int) -> String {
      String(repeating: "{\"a\":", count: count) + "1" + String(repeating: "}", count: count)
    }
    let deepest = JSONReader.maximumDepth
    _ = try JSONReader.value(from: arrays(deepest + 1))
    _ = try JSONReader.value(from: objects(deepest))
    for text in [arrays(deepest + 2), objects(deepest + 1), arrays(100_000)] {
      #expect(throws: JSONReader.SyntaxError.self) { try JSONReader.value(from: text) }
    }
  }

  @Test("a key that is there twice is found among many", arguments: [0, 7, 8, 9, 19])
  func duplicateAmongMany(_ duplicate: Int) throws {
    let members = (0..<20).map { "\"k\($0)\":\($0)" }
    let once = "{" + members.joined(separator: ",") + "}"
    let value = try JSONReader.value(from: once)
    #expect(value.objectValue?.count == 20)
    let twice = "{" + (members + [members[duplicate]]).joined(separator: ",") + "}"
    #expect(throws: JSONReader.SyntaxError.self) { try JSONReader.value(from: twice) }
  }

  @Test("keys keep their order")
  func order() throws {
    let value = try JSONReader.value(from: "{\"z\":1,\"a\":2,\"m\":3}")
    #expect(value.objectValue?.keys == ["z", "a", "m"])
    #expect(JSONWriter.text(value) == "{\"z\":1,\"a\":2,\"m\":3}")
  }

  @Test("a refusal says where and why")
  func errorOffset() {
    let error = #expect(throws: JSONReader.SyntaxError.self) {
      try JSONReader.value(from: "{\"a\":1,}")
    }
    #expect(error?.offset == 7)
    #expect(error?.description == "expected a key in quotes at byte 7")
  }
}
