/// Writes BSON (bsonspec.org) straight into a byte buffer.
///
/// Keys must not hold a NUL, since BSON ends a key with one: such a key marks the writer
/// ``isInvalid``, and the document must not be used.
public struct BSONWriter: Sendable {
  public private(set) var bytes: [UInt8]
  public private(set) var isInvalid = false

  /// - Parameter capacity: bytes to reserve.
  init(capacity: Int) {
    bytes = []
    bytes.reserveCapacity(capacity)
    bytes.append(contentsOf: [0, 0, 0, 0])
  }

  mutating func finish() {
    bytes.append(0)
    patchLength(at: 0)
  }

  public mutating func append(_ key: String, _ value: String) {
    element(0x02, key)
    appendString(value)
  }

  public mutating func append(_ key: String, _ value: Int64) {
    element(0x12, key)
    appendInteger(value)
  }

  public mutating func append(_ key: String, int32 value: Int32) {
    element(0x10, key)
    appendInteger(value)
  }

  public mutating func append(_ key: String, _ value: Bool) {
    element(0x08, key)
    bytes.append(value ? 1 : 0)
  }

  public mutating func appendNull(_ key: String) { element(0x0A, key) }

  public mutating func append(_ key: String, millisecondsSinceEpoch: Int64) {
    element(0x09, key)
    appendInteger(millisecondsSinceEpoch)
  }

  /// Binary of subtype 4, a UUID in network order.
  public mutating func append(_ key: String, uuid: borrowing Span<UInt8>) {
    appendBinary(key, uuid, subtype: 4)
  }

  /// Binary of the generic subtype.
  public mutating func append(_ key: String, binary: borrowing Span<UInt8>) {
    appendBinary(key, binary, subtype: 0)
  }

  /// Decimal128: `unscaled × 10^-scale`, exactly (binary integer decimal encoding).
  public mutating func append(_ key: String, unscaled: Int64, scale: Int) {
    element(0x13, key)
    appendInteger(unscaled.magnitude)
    let exponent = UInt64(6176 - scale)
    appendInteger(exponent << 49 | (unscaled < 0 ? 1 << 63 : 0))
  }

  public mutating func appendDocument(_ key: String, _ build: (inout BSONWriter) -> Void) {
    element(0x03, key)
    nested(build)
  }

  public mutating func append(_ key: String, _ document: BSONDocument) {
    element(0x03, key)
    bytes.append(contentsOf: document.bytes)
  }

  /// An array; the keys are written by `build` through ``BSONArrayWriter``.
  public mutating func appendArray(_ key: String, _ build: (inout BSONArrayWriter) -> Void) {
    element(0x04, key)
    nested { writer in
      var array = BSONArrayWriter(writer: writer)
      // The buffer moves into the array writer and back, so that nothing is copied.
      writer = BSONWriter(empty: ())
      build(&array)
      writer = array.writer
    }
  }

  private init(empty: Void) { bytes = [] }

  fileprivate init(continuing bytes: consuming [UInt8], isInvalid: Bool) {
    self.bytes = bytes
    self.bytes.removeLast()
    self.isInvalid = isInvalid
  }

  private mutating func nested(_ build: (inout BSONWriter) -> Void) {
    let start = bytes.count
    bytes.append(contentsOf: [0, 0, 0, 0])
    build(&self)
    bytes.append(0)
    patchLength(at: start)
  }

  private mutating func patchLength(at start: Int) {
    let length = UInt32(bytes.count - start)
    for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
  }

  private mutating func element(_ type: UInt8, _ key: String) {
    bytes.append(type)
    var key = key
    key.withUTF8 { utf8 in
      for byte in utf8 where byte == 0 { isInvalid = true }
      bytes.append(contentsOf: utf8)
    }
    bytes.append(0)
  }

  private mutating func appendString(_ value: String) {
    var value = value
    value.withUTF8 { utf8 in
      appendInteger(Int32(utf8.count + 1))
      bytes.append(contentsOf: utf8)
    }
    bytes.append(0)
  }

  private mutating func appendBinary(
    _ key: String, _ binary: borrowing Span<UInt8>, subtype: UInt8
  ) {
    element(0x05, key)
    appendInteger(Int32(binary.count))
    bytes.append(subtype)
    binary.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
  }

  private mutating func appendInteger(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
}

/// Writes the elements of a BSON array; its keys are 0, 1, 2 …
public struct BSONArrayWriter: Sendable {
  fileprivate(set) var writer: BSONWriter
  private var count = 0

  fileprivate init(writer: BSONWriter) { self.writer = writer }

  /// Writes the next element with the key that it is given.
  public mutating func append(_ write: (inout BSONWriter, String) -> Void) {
    write(&writer, String(count))
    count += 1
  }

  public mutating func append(_ value: String) { append { $0.append($1, value) } }
  public mutating func append(_ document: BSONDocument) { append { $0.append($1, document) } }
}

/// A BSON document as bytes.
public struct BSONDocument: Sendable, Hashable {
  public private(set) var bytes: [UInt8]
  /// False when a key held a NUL.
  public private(set) var isValid: Bool

  public init(capacity: Int = 128, _ build: (inout BSONWriter) -> Void = { _ in }) {
    var writer = BSONWriter(capacity: capacity)
    build(&writer)
    writer.finish()
    bytes = writer.bytes
    isValid = !writer.isInvalid
  }

  /// Takes bytes that are known to be one BSON document.
  public init(bytes: [UInt8]) {
    self.bytes = bytes
    isValid = true
  }

  /// Reads in place; the view must not outlive `body`.
  public func withView<Result>(_ body: (BSONView) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBytes { try body(BSONView($0)) }
  }
}

extension BSONDocument {
  /// Adds elements at the end.
  public mutating func append(_ build: (inout BSONWriter) -> Void) {
    // The buffer moves into the writer and back, so that nothing is copied.
    var writer = BSONWriter(continuing: exchange(&bytes, with: []), isInvalid: !isValid)
    build(&writer)
    writer.finish()
    self.bytes = writer.bytes
    isValid = !writer.isInvalid
  }
}
