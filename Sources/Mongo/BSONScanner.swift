/// Walks the elements of a BSON document without decoding them: where ``BSONView`` answers values,
/// this answers bytes, and it refuses what a reader may let pass.
///
/// Valid only as long as the bytes under it.
public struct BSONScanner {
  /// One element as it stands in the document.
  public struct Element {
    /// bsonspec.org's number of the type.
    public let type: UInt8
    /// Without its NUL.
    public let key: UnsafeRawBufferPointer
    public let value: UnsafeRawBufferPointer

    @inlinable
    init(type: UInt8, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
      self.type = type
      self.key = key
      self.value = value
    }
  }

  @usableFromInline let bytes: UnsafeRawBufferPointer
  @usableFromInline var offset = 4

  /// - Throws: ``BSONView/Malformed`` when the length that the document names is not its length.
  @inlinable
  public init(_ document: UnsafeRawBufferPointer) throws {
    bytes = document
    guard document.count >= 5, length(at: 0) == document.count else {
      throw Self.malformed(at: 0)
    }
  }

  /// The next element, or nil at the end.
  @inlinable
  public mutating func next() throws -> Element? {
    let type = bytes[offset]
    if type == 0 {
      guard offset == bytes.count - 1 else { throw Self.malformed(at: offset) }
      return nil
    }
    let start = offset + 1
    var end = start
    while end < bytes.count, bytes[end] != 0 { end += 1 }
    let valueStart = end + 1
    let valueEnd = valueStart + (try valueLength(type, at: valueStart))
    // At least the document's last byte follows.
    guard valueEnd < bytes.count else { throw Self.malformed(at: offset) }
    offset = valueEnd
    return Element(
      type: type, key: UnsafeRawBufferPointer(rebasing: bytes[start..<end]),
      value: UnsafeRawBufferPointer(rebasing: bytes[valueStart..<valueEnd]))
  }

  @inlinable
  func valueLength(_ type: UInt8, at start: Int) throws -> Int {
    switch type {
    case 0x01, 0x09, 0x11, 0x12: return 8
    case 0x02, 0x0D, 0x0E: return 4 + (try counted(at: start, least: 1))
    case 0x03, 0x04: return try counted(at: start, least: 5)
    case 0x05: return 5 + (try counted(at: start, least: 0))
    case 0x06, 0x0A, 0x7F, 0xFF: return 0
    case 0x07: return 12
    case 0x08: return 1
    case 0x10: return 4
    case 0x13: return 16
    default: throw Self.malformed(at: start)
    }
  }

  /// A length that stands in the document itself.
  @inlinable
  func counted(at start: Int, least: Int) throws -> Int {
    guard start + 4 < bytes.count else { throw Self.malformed(at: start) }
    let length = length(at: start)
    guard length >= least else { throw Self.malformed(at: start) }
    return length
  }

  @usableFromInline
  static func malformed(at offset: Int) -> BSONView.Malformed { BSONView.Malformed(offset: offset) }

  @inlinable
  func length(at start: Int) -> Int {
    Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: Int32.self)))
  }
}

extension BSONScanner.Element {
  @inlinable
  public func isNamed(_ name: StaticString) -> Bool {
    guard key.count == name.utf8CodeUnitCount else { return false }
    for index in 0..<key.count where key[index] != name.utf8Start[index] { return false }
    return true
  }

  /// The number of an int64 or int32.
  @inlinable
  public var integer: Int64? {
    switch type {
    case 0x12: Int64(littleEndian: value.loadUnaligned(as: Int64.self))
    case 0x10: Int64(Int32(littleEndian: value.loadUnaligned(as: Int32.self)))
    default: nil
    }
  }

  /// The UTF-8 of a string, without its NUL; nil for another type.
  @inlinable
  public var text: UnsafeRawBufferPointer? {
    guard type == 0x02, value[value.count - 1] == 0 else { return nil }
    return UnsafeRawBufferPointer(rebasing: value[4..<value.count - 1])
  }

  /// The content of a binary of this subtype; nil for anything else.
  @inlinable
  public func binary(subtype: UInt8) -> UnsafeRawBufferPointer? {
    guard type == 0x05, value[4] == subtype else { return nil }
    return UnsafeRawBufferPointer(rebasing: value[5...])
  }
}
