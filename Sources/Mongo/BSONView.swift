/// A BSON document or array read in place, element by element, without copying.
///
/// Valid only as long as the bytes under it: while the closure that handed it out runs.
public struct BSONView {
  public let bytes: UnsafeRawBufferPointer

  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  public enum Element {
    case double(Double)
    case string(String)
    case document(BSONView)
    case array(BSONView)
    case binary(subtype: UInt8, UnsafeRawBufferPointer)
    case bool(Bool)
    case dateTime(millisecondsSinceEpoch: Int64)
    case null
    case int32(Int32)
    case int64(Int64)
    case decimal(unscaled: Int64, scale: Int)
    /// A type that Magasin never writes.
    case other(type: UInt8)

    public var integer: Int64? {
      switch self {
      case .int32(let value): Int64(value)
      case .int64(let value): value
      case .double(let value): Int64(exactly: value)
      default: nil
      }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var document: BSONView? { if case .document(let view) = self { view } else { nil } }
    public var array: BSONView? { if case .array(let view) = self { view } else { nil } }
    public var bool: Bool? {
      switch self {
      case .bool(let value): value
      default: integer.map { $0 != 0 }
      }
    }
  }

  public struct Malformed: Error, Sendable, CustomStringConvertible {
    public var offset: Int
    public var description: String { "malformed BSON at byte \(offset)" }
  }

  /// Calls `body` for each element; answering false stops.
  public func visit(
    _ body: (_ key: UnsafeRawBufferPointer, _ element: Element) throws -> Bool
  ) throws {
    guard bytes.count >= 5, load(Int32.self, at: 0) == bytes.count else {
      throw Malformed(offset: 0)
    }
    var offset = 4
    while true {
      let type = bytes[offset]
      if type == 0 { return }
      offset += 1
      let keyStart = offset
      while offset < bytes.count, bytes[offset] != 0 { offset += 1 }
      guard offset < bytes.count else { throw Malformed(offset: keyStart) }
      let key = UnsafeRawBufferPointer(rebasing: bytes[keyStart..<offset])
      offset += 1
      let element = try read(type, at: &offset)
      guard offset < bytes.count else { throw Malformed(offset: keyStart) }
      guard try body(key, element) else { return }
    }
  }

  /// The element of a key, or nil. Linear.
  public subscript(_ name: StaticString) -> Element? {
    var found: Element?
    try? visit { key, element in
      guard key.isEqual(to: name) else { return true }
      found = element
      return false
    }
    return found
  }

  /// The bytes as a document of its own.
  public var copied: BSONDocument { BSONDocument(bytes: Array(bytes)) }

  /// The elements of an array.
  public func elements() throws -> [Element] {
    var elements: [Element] = []
    try visit { _, element in
      elements.append(element)
      return true
    }
    return elements
  }

  private func load<Integer: FixedWidthInteger>(_: Integer.Type, at offset: Int) -> Integer {
    Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Integer.self))
  }

  private func need(_ count: Int, at offset: Int) throws {
    guard count >= 0, offset + count <= bytes.count else { throw Malformed(offset: offset) }
  }

  private func read(_ type: UInt8, at offset: inout Int) throws -> Element {
    switch type {
    case 0x01:
      try need(8, at: offset)
      defer { offset += 8 }
      return .double(Double(bitPattern: load(UInt64.self, at: offset)))
    case 0x02:
      try need(4, at: offset)
      let length = Int(load(Int32.self, at: offset))
      try need(4 + length, at: offset)
      guard length >= 1 else { throw Malformed(offset: offset) }
      let text = bytes[offset + 4..<offset + 3 + length]
      offset += 4 + length
      return .string(String(decoding: text, as: UTF8.self))
    case 0x03, 0x04:
      try need(4, at: offset)
      let length = Int(load(Int32.self, at: offset))
      try need(length, at: offset)
      guard length >= 5 else { throw Malformed(offset: offset) }
      let view = BSONView(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length]))
      offset += length
      return type == 0x03 ? .document(view) : .array(view)
    case 0x05:
      try need(5, at: offset)
      let length = Int(load(Int32.self, at: offset))
      try need(5 + length, at: offset)
      let data = UnsafeRawBufferPointer(rebasing: bytes[offset + 5..<offset + 5 + length])
      let subtype = bytes[offset + 4]
      offset += 5 + length
      return .binary(subtype: subtype, data)
    case 0x07:
      return try skip(12, type, &offset)
    case 0x08:
      try need(1, at: offset)
      defer { offset += 1 }
      return .bool(bytes[offset] != 0)
    case 0x09:
      try need(8, at: offset)
      defer { offset += 8 }
      return .dateTime(millisecondsSinceEpoch: load(Int64.self, at: offset))
    case 0x0A: return .null
    case 0x10:
      try need(4, at: offset)
      defer { offset += 4 }
      return .int32(load(Int32.self, at: offset))
    case 0x12:
      try need(8, at: offset)
      defer { offset += 8 }
      return .int64(load(Int64.self, at: offset))
    case 0x11: return try skip(8, type, &offset)
    case 0x13: return try readDecimal(&offset)
    case 0xFF, 0x7F, 0x06: return .other(type: type)
    default: throw Malformed(offset: offset)
    }
  }

  private func skip(_ count: Int, _ type: UInt8, _ offset: inout Int) throws -> Element {
    try need(count, at: offset)
    offset += count
    return .other(type: type)
  }

  private func readDecimal(_ offset: inout Int) throws -> Element {
    try need(16, at: offset)
    let low = load(UInt64.self, at: offset)
    let high = load(UInt64.self, at: offset + 8)
    offset += 16
    guard let decimal = BSONDecimal(low: low, high: high) else { return .other(type: 0x13) }
    return .decimal(unscaled: decimal.unscaled, scale: decimal.scale)
  }
}

/// A Decimal128 of 64 bits, as `BSONWriter` writes them: `unscaled × 10^-scale`, 0 to 18 digits
/// after the point.
public struct BSONDecimal {
  public let unscaled: Int64
  public let scale: Int
  /// Also of a negative zero.
  public let isNegative: Bool

  /// Nil for all other decimals.
  public init?(low: UInt64, high: UInt64) {
    scale = 6176 - Int(high >> 49 & 0x3FFF)
    isNegative = high >> 63 == 1
    unscaled = Int64(truncatingIfNeeded: isNegative ? 0 &- low : low)
    let lowMax = isNegative ? Int64.min.magnitude : Int64.max.magnitude
    guard high & 0x1_FFFF_FFFF_FFFF == 0, (0...18).contains(scale), low <= lowMax else {
      return nil
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Compares a key without making a string of it.
  @inline(__always)
  public func isEqual(to name: StaticString) -> Bool {
    count == name.utf8CodeUnitCount && (0..<count).allSatisfy { self[$0] == name.utf8Start[$0] }
  }
}
