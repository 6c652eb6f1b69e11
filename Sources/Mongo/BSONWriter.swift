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
    var value = value
    value.withUTF8 { utf8 in
      element(0x02, key, size: utf8.count + 5) { place in
        place.store(Int32(utf8.count + 1))
        if let start = utf8.baseAddress {
          (place + 4).copyMemory(from: start, byteCount: utf8.count)
        }
        (place + 4 + utf8.count).store(UInt8(0))
      }
    }
  }

  public mutating func append(_ key: String, _ value: Int64) { element(0x12, key, value) }

  public mutating func append(_ key: String, int32 value: Int32) { element(0x10, key, value) }

  public mutating func append(_ key: String, _ value: Bool) {
    element(0x08, key, UInt8(value ? 1 : 0))
  }

  public mutating func appendNull(_ key: String) { element(0x0A, key, size: 0) { _ in } }

  public mutating func append(_ key: String, millisecondsSinceEpoch: Int64) {
    element(0x09, key, millisecondsSinceEpoch)
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
    let exponent = UInt64(6176 - scale)
    element(0x13, key, size: 16) { place in
      place.store(unscaled.magnitude)
      (place + 8).store(exponent << 49 | (unscaled < 0 ? 1 << 63 : 0))
    }
  }

  public mutating func appendDocument(_ key: String, _ build: (inout BSONWriter) -> Void) {
    nested(0x03, key, build)
  }

  public mutating func append(_ key: String, _ document: BSONDocument) {
    element(0x03, key, size: 0) { _ in }
    bytes.append(contentsOf: document.bytes)
  }

  /// An array; the keys are written by `build` through ``BSONArrayWriter``.
  public mutating func appendArray(_ key: String, _ build: (inout BSONArrayWriter) -> Void) {
    nested(0x04, key) { writer in
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

  private mutating func nested(
    _ type: UInt8, _ key: String, _ build: (inout BSONWriter) -> Void
  ) {
    element(type, key, Int32(0))
    let start = bytes.count - 4
    build(&self)
    bytes.append(0)
    patchLength(at: start)
  }

  private mutating func patchLength(at start: Int) {
    let length = Int32(bytes.count - start)
    bytes.withUnsafeMutableBytes {
      $0.storeBytes(of: length.littleEndian, toByteOffset: start, as: Int32.self)
    }
  }

  private mutating func element(_ type: UInt8, _ key: String, _ value: some FixedWidthInteger) {
    element(type, key, size: value.bitWidth / 8) { $0.store(value) }
  }

  private mutating func appendBinary(
    _ key: String, _ binary: borrowing Span<UInt8>, subtype: UInt8
  ) {
    binary.withUnsafeBytes { binary in
      element(0x05, key, size: 5 + binary.count) { place in
        place.store(Int32(binary.count))
        (place + 4).store(subtype)
        if let start = binary.baseAddress {
          (place + 5).copyMemory(from: start, byteCount: binary.count)
        }
      }
    }
  }

  /// Adds an element in one piece; `write` fills all of the `size` bytes of its value.
  @inline(__always)
  private mutating func element(
    _ type: UInt8, _ key: String, size: Int, _ write: (UnsafeMutableRawPointer) -> Void
  ) {
    var key = key
    key.withUTF8 { utf8 in
      if utf8.contains(0) { isInvalid = true }
      let total = utf8.count + 2 + size
      bytes.append(addingCapacity: total) { span in
        span.withUnsafeMutableBufferPointer { buffer, count in
          guard let start = buffer.baseAddress else { return }
          let place = UnsafeMutableRawPointer(start)
          place.store(type)
          if let key = utf8.baseAddress { (place + 1).copyMemory(from: key, byteCount: utf8.count) }
          (place + 1 + utf8.count).store(UInt8(0))
          write(place + 2 + utf8.count)
          count = total
        }
      }
    }
  }
}

extension UnsafeMutableRawPointer {
  /// In BSON's byte order.
  @inline(__always)
  fileprivate func store(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes in
      if let start = bytes.baseAddress { copyMemory(from: start, byteCount: bytes.count) }
    }
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
