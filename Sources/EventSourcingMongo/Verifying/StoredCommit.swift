import Crypto
import EventSourcing
import Mongo

/// A commit of the log read in place by those who check it: its shape is held against what Magasin
/// writes, and only what the checks need is taken out.
///
/// Valid only as long as the bytes under it.
struct StoredCommit {
  let bytes: UnsafeRawBufferPointer
  private(set) var position: Position = .start
  private(set) var eventCount = 0
  private(set) var hash: UnsafeRawBufferPointer

  /// Reads a commit and appends what its command id and its events leave in the global checks.
  ///
  /// Fields that are not known are let pass: the hash covers them.
  /// - Throws: ``UnreadableDocument`` or `BSONView.Malformed` when the shape is wrong.
  init(_ view: BSONView, traces: inout [Trace]) throws {
    bytes = view.bytes
    hash = UnsafeRawBufferPointer(rebasing: bytes[0..<0])
    var scanner = try BSONScanner(bytes)
    guard let first = try scanner.next(), first.isNamed("_id"), first.type == 0x12,
      let id = first.integer, (1...Position.max.rawValue).contains(id)
    else { throw UnreadableDocument(reason: "its _id is no position") }
    position = Position(id)
    var seen = Seen()
    while let element = try scanner.next() {
      guard hash.isEmpty else { throw UnreadableDocument(reason: "the hash is not its end") }
      if element.isNamed("events") {
        try seen.insert(.events)
        try readEvents(element, traces: &traces)
      } else if element.isNamed("hash") {
        guard let stored = element.binary(subtype: 0), stored.count == 32 else {
          throw UnreadableDocument(reason: "its hash is no SHA-256")
        }
        hash = stored
      } else {
        try readContext(element, seen: &seen, traces: &traces)
      }
    }
    guard seen == .whole, !hash.isEmpty else {
      throw UnreadableDocument(reason: "it lacks a field")
    }
  }

  /// `hash`: 0x05, "hash", NUL, int32 length, subtype, 32 bytes.
  private static let hashElementLength = 1 + 5 + 4 + 1 + 32

  /// The fields that were met.
  private struct Seen: OptionSet {
    let rawValue: Int
    static let command = Seen(rawValue: 1)
    static let correlation = Seen(rawValue: 2)
    static let timestamp = Seen(rawValue: 4)
    static let service = Seen(rawValue: 8)
    static let metadata = Seen(rawValue: 16)
    static let events = Seen(rawValue: 32)
    static let whole: Seen = [.command, .correlation, .timestamp, .service, .metadata, .events]

    mutating func insert(_ field: Seen) throws {
      guard isDisjoint(with: field) else {
        throw UnreadableDocument(reason: "a field is there twice")
      }
      formUnion(field)
    }
  }

  private func readContext(
    _ element: BSONScanner.Element, seen: inout Seen, traces: inout [Trace]
  ) throws {
    if element.isNamed("command_id") {
      try seen.insert(.command)
      traces.append(Trace(command: try Self.uuid(element), position: position))
    } else if element.isNamed("correlation_id") {
      try seen.insert(.correlation)
      _ = try Self.uuid(element)
    } else if element.isNamed("causation_id") {
      _ = try Self.uuid(element)
    } else if element.isNamed("timestamp") {
      try seen.insert(.timestamp)
      guard element.type == 0x09 else { throw Self.wrongType(element) }
    } else if element.isNamed("service_name") {
      try seen.insert(.service)
      guard element.type == 0x02 else { throw Self.wrongType(element) }
      try StoredValue.check(element)
    } else if element.isNamed("metadata") {
      try seen.insert(.metadata)
      guard element.type == 0x03 else { throw Self.wrongType(element) }
      try StoredValue.check(element)
    }
  }

  private mutating func readEvents(
    _ element: BSONScanner.Element, traces: inout [Trace]
  ) throws {
    guard element.type == 0x04 else { throw Self.wrongType(element) }
    var scanner = try BSONScanner(element.value)
    while let event = try scanner.next() {
      guard event.type == 0x03 else { throw Self.wrongType(event) }
      traces.append(try Self.readEvent(event.value, at: position + eventCount))
      eventCount += 1
    }
    guard (1...ProposedCommit.maximumEvents).contains(eventCount) else {
      throw UnreadableDocument(reason: "it holds \(eventCount) events")
    }
  }

  private static func readEvent(
    _ event: UnsafeRawBufferPointer, at position: Position
  ) throws -> Trace {
    var scanner = try BSONScanner(event)
    var category: UnsafeRawBufferPointer?
    var id: UnsafeRawBufferPointer?
    var version: Int64?
    var others = 0
    while let element = try scanner.next() {
      if element.isNamed("event_id") {
        _ = try uuid(element)
        others |= 1
      } else if element.isNamed("event_type") {
        _ = try name(element)
        others |= 2
      } else if element.isNamed("schema") {
        guard element.integer != nil else { throw wrongType(element) }
        others |= 4
      } else if element.isNamed("aggregate_type") {
        category = try name(element)
      } else if element.isNamed("aggregate_id") {
        id = try name(element)
      } else if element.isNamed("version") {
        guard element.type == 0x12, let number = element.integer, number > 0 else {
          throw UnreadableDocument(reason: "a version is no number from 1 up")
        }
        version = number
      } else if element.isNamed("data") {
        guard element.type == 0x03 else { throw wrongType(element) }
        try StoredValue.check(element)
        others |= 8
      }
    }
    guard let category, let id, let version, others == 15 else {
      throw UnreadableDocument(reason: "an event lacks a field")
    }
    return Trace(category: category, id: id, version: version, position: position)
  }

  private static func uuid(_ element: BSONScanner.Element) throws -> UnsafeRawBufferPointer {
    guard let uuid = element.binary(subtype: 4), uuid.count == 16 else { throw wrongType(element) }
    return uuid
  }

  private static func name(_ element: BSONScanner.Element) throws -> UnsafeRawBufferPointer {
    guard let text = element.text, (1...64).contains(text.count), text.allSatisfy(isNameByte)
    else { throw UnreadableDocument(reason: "\(StoredValue.name(of: element)) is no legal name") }
    return text
  }

  /// The rule of `StreamName.isLegal`, on bytes.
  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  private static func wrongType(_ element: BSONScanner.Element) -> UnreadableDocument {
    UnreadableDocument(reason: "\(StoredValue.name(of: element)) is of the wrong type")
  }
}

extension StoredCommit {
  /// Whether the stored hash follows from the one before and from this document.
  func isChained(to previous: ChainHash) -> Bool {
    Self.digest(of: bytes, chainedTo: previous).withUnsafeBytes { $0.elementsEqual(hash) }
  }

  /// SHA-256(previous hash ‖ the document without its hash, which is its last element).
  static func digest(
    of document: UnsafeRawBufferPointer, chainedTo previous: ChainHash
  ) -> SHA256.Digest {
    let bodyEnd = document.count - 1 - hashElementLength
    var hasher = SHA256()
    previous.withUnsafeBytes { hasher.update(bufferPointer: $0) }
    withUnsafeBytes(of: UInt32(bodyEnd + 1).littleEndian) { hasher.update(bufferPointer: $0) }
    hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: document[4..<bodyEnd]))
    withUnsafeBytes(of: UInt8(0)) { hasher.update(bufferPointer: $0) }
    return hasher.finalize()
  }

  /// The position after its last event.
  var next: Position { position + eventCount }
}

/// The hash of a commit.
struct ChainHash: Sendable, Hashable {
  let bytes: [UInt8]

  init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  /// What the first commit is chained to.
  static let none = ChainHash(CommitDocument.noHash)

  func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    bytes.withUnsafeBytes(body)
  }

  var hexadecimal: String { Hexadecimal.text(bytes) }
}
