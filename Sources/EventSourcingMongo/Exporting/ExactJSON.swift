import EventSourcing
import Mongo

/// JSON that stands for exactly one BSON document, byte for byte, and reads as plain JSON.
///
/// | BSON | JSON |
/// | --- | --- |
/// | null, bool, string, array, document | themselves |
/// | int64 | a number without a point |
/// | Decimal128 with digits after the point | a number with a point |
/// | any other Decimal128 that Magasin writes | `{"$decimal": "5"}` |
/// | int32 | `{"$int32": 5}` |
/// | date | `{"$date": "2026-01-01T00:00:00.000Z"}`, or milliseconds since 1970 |
/// | binary, a UUID | `{"$uuid": "…"}` |
/// | binary, generic or of another subtype | `{"$binary": "hexadecimal", "$subtype": 0}` |
///
/// A key of the document's own that begins with `$` is written with one more.
enum ExactJSON {
  /// - Throws: ``UnreadableDocument`` for what has no exact form here: types that Magasin never
  ///   writes, text that is not UTF-8, a key twice.
  static func write(_ document: UnsafeRawBufferPointer, to output: inout [UInt8]) throws {
    var scanner = try BSONScanner(document)
    output.append(UInt8(ascii: "{"))
    var isFirst = true
    while let element = try scanner.next() {
      if !isFirst { output.append(UInt8(ascii: ",")) }
      isFirst = false
      let key = try text(element.key)
      write(key.hasPrefix("$") ? "$" + key : key, to: &output)
      output.append(UInt8(ascii: ":"))
      try writeValue(of: element, to: &output)
    }
    output.append(UInt8(ascii: "}"))
  }

  static func write(_ text: String, to output: inout [UInt8]) {
    JSONWriter.write(.string(text), into: &output)
  }

  private static func writeValue(
    of element: BSONScanner.Element, to output: inout [UInt8]
  ) throws {
    let value = element.value
    switch element.type {
    case 0x02:
      guard let bytes = element.text else {
        throw UnreadableDocument(reason: "malformed text")
      }
      write(try text(bytes), to: &output)
    case 0x03: try write(value, to: &output)
    case 0x04: try writeArray(value, to: &output)
    case 0x05: JSONWriter.write(binary(value), into: &output)
    case 0x08: JSONWriter.write(.bool(value[0] != 0), into: &output)
    case 0x09:
      let milliseconds = Int64(littleEndian: value.loadUnaligned(as: Int64.self))
      JSONWriter.write(["$date": date(milliseconds)], into: &output)
    case 0x0A: JSONWriter.write(.null, into: &output)
    case 0x10: JSONWriter.write(["$int32": .integer(element.integer ?? 0)], into: &output)
    case 0x12: JSONWriter.write(.integer(element.integer ?? 0), into: &output)
    case 0x13: JSONWriter.write(try decimal(value), into: &output)
    default: throw UnreadableDocument(reason: "it holds a BSON type that is not used here")
    }
  }

  private static func writeArray(
    _ array: UnsafeRawBufferPointer, to output: inout [UInt8]
  ) throws {
    var scanner = try BSONScanner(array)
    output.append(UInt8(ascii: "["))
    var isFirst = true
    while let element = try scanner.next() {
      if !isFirst { output.append(UInt8(ascii: ",")) }
      isFirst = false
      try writeValue(of: element, to: &output)
    }
    output.append(UInt8(ascii: "]"))
  }

  private static func text(_ bytes: UnsafeRawBufferPointer) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw UnreadableDocument(reason: "it holds text that is not UTF-8")
    }
    return text
  }

  private static func binary(_ value: UnsafeRawBufferPointer) -> Value {
    let content = value[5...]
    if value[4] == 4, content.count == 16 { return ["$uuid": .string(Hexadecimal.uuid(content))] }
    return [
      "$binary": .string(Hexadecimal.text(content)), "$subtype": .integer(Int64(value[4])),
    ]
  }

  private static func date(_ milliseconds: Int64) -> Value {
    let range = -62_135_596_800_000...253_402_300_799_999  // The years 1 to 9999.
    guard range.contains(Int(milliseconds)) else { return .integer(milliseconds) }
    return .string(Timestamp(millisecondsSinceEpoch: milliseconds).iso8601)
  }

  private static func decimal(_ value: UnsafeRawBufferPointer) throws -> Value {
    guard let stored = StoredValue.decimal(value) else {
      throw UnreadableDocument(reason: "it holds a decimal that is not used here")
    }
    let decimal = FixedDecimal(unscaled: stored.unscaled, scale: stored.scale)
    let isNegativeZero = stored.isNegative && stored.unscaled == 0
    guard stored.scale > 0, !isNegativeZero else {
      return ["$decimal": .string(isNegativeZero ? "-\(decimal)" : "\(decimal)")]
    }
    return .decimal(decimal)
  }
}
