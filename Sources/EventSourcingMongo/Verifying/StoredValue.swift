import Mongo

/// What may stand in an event's data and in metadata: the types that readers can decode, text that
/// is UTF-8.
enum StoredValue {
  /// - Throws: ``UnreadableDocument`` for a value that readers would refuse.
  static func check(_ element: BSONScanner.Element) throws {
    guard isUnicode(element.key) else { throw UnreadableDocument(reason: "a key is not UTF-8") }
    switch element.type {
    case 0x08, 0x09, 0x0A, 0x10, 0x12: break
    case 0x02:
      guard let text = element.text, isUnicode(text) else {
        throw UnreadableDocument(reason: "the text of \(name(of: element)) is not UTF-8")
      }
    case 0x03, 0x04:
      var scanner = try BSONScanner(element.value)
      while let inner = try scanner.next() { try check(inner) }
    case 0x13 where decimal(element.value) != nil: break
    default:
      throw UnreadableDocument(
        reason: "\(name(of: element)) has a BSON type that is not used here")
    }
  }

  /// Nil for a decimal that is not used here.
  static func decimal(_ value: UnsafeRawBufferPointer) -> BSONDecimal? {
    BSONDecimal(
      low: UInt64(littleEndian: value.loadUnaligned(as: UInt64.self)),
      high: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }

  static func name(of element: BSONScanner.Element) -> String {
    String(decoding: element.key, as: UTF8.self)
  }

  /// Whether bytes are UTF-8; plain ASCII is told eight bytes at a time.
  static func isUnicode(_ text: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index + 8 <= text.count,
      text.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
    {
      index += 8
    }
    while index < text.count, text[index] < 0x80 { index += 1 }
    return index == text.count || String(validating: text, as: UTF8.self) != nil
  }
}
