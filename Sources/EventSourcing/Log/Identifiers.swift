import Crypto
import Foundation

/// A place in the log's total order, 1, 2, 3 … without a hole. `.start` (0) is before the first.
public struct Position: Sendable, Hashable, Comparable, CustomStringConvertible {
  public var rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static let start = Position(0)
  /// 2⁵³−1, what every JSON reader holds. No log comes near it, and arithmetic on it is safe.
  public static let max = Position(9_007_199_254_740_991)
  public static func < (left: Position, right: Position) -> Bool { left.rawValue < right.rawValue }
  public static func + (left: Position, right: Int) -> Position {
    Position(left.rawValue + Int64(right))
  }
  public var description: String { String(rawValue) }
}

extension Range<Position> {
  /// How many positions it spans.
  public var count: Int { Int(upperBound.rawValue - lowerBound.rawValue) }
}

/// The number of an event in its stream, 1, 2, 3 … without a hole. `.none` (0): no event yet.
public struct Version: Sendable, Hashable, Comparable, CustomStringConvertible {
  public var rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static let none = Version(0)
  public static func < (left: Version, right: Version) -> Bool { left.rawValue < right.rawValue }
  public static func + (left: Version, right: Int) -> Version {
    Version(left.rawValue + Int64(right))
  }
  public var description: String { String(rawValue) }
}

/// A stream is the history of one aggregate: `orders/order_123`.
public struct StreamName: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The kind of aggregate, plural: `orders`.
  public let category: String
  /// The aggregate's id, `[A-Za-z0-9_-]{1,64}`: `order_123`.
  public let id: String

  public init(category: String, id: String) {
    self.category = category
    self.id = id
  }

  /// Reads `category/id`; nil when either part is not a legal name.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, Self.isLegal(parts[0]), Self.isLegal(parts[1]) else { return nil }
    self.init(category: String(parts[0]), id: String(parts[1]))
  }

  public var description: String { "\(category)/\(id)" }

  public static func < (left: StreamName, right: StreamName) -> Bool {
    (left.category, left.id) < (right.category, right.id)
  }

  /// Whether a category or id is 1 to 64 letters, digits, `_` or `-`.
  public static func isLegal(_ name: some StringProtocol) -> Bool {
    let bytes = name.utf8
    guard (1...64).contains(bytes.count) else { return false }
    return bytes.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
  }
}

/// Names one intent of one caller. The log keeps each id once: sending a command again is safe.
public struct CommandID: Sendable, Hashable, CustomStringConvertible {
  public let uuid: UUID

  public init(_ uuid: UUID) { self.uuid = uuid }

  public init?(_ text: String) {
    guard let uuid = UUID(uuidString: text) else { return nil }
    self.init(uuid)
  }

  /// The same text always gives the same id (SHA-256, marked as UUID version 8).
  public init(derivedFrom text: String) { self.init(hashOf: Array(text.utf8), at: nil) }

  /// The id of what a process does on behalf of something that the text names: the same text
  /// always gives the same id, and ids of new things sort behind those of old ones.
  ///
  /// The first six bytes are those of the first UUID of version 7 in the text, as in
  /// `order_0190…/pay/forward/1`: what is sent now is put at the end of the log's index, not all
  /// over it. The rest, and all of it when no such UUID is named, is as of ``init(derivedFrom:)``.
  public init(effect text: String) {
    let text = Array(text.utf8)
    self.init(hashOf: text, at: UUID.timeOrderedPrefix(in: text))
  }

  private init(hashOf text: [UInt8], at time: [UInt8]?) {
    var bytes = Array(SHA256.hash(data: text).prefix(16))
    if let time { bytes.replaceSubrange(0..<time.count, with: time) }
    bytes[6] = bytes[6] & 0x0F | 0x80
    bytes[8] = bytes[8] & 0x3F | 0x80
    self.init(UUID(bytes: bytes))
  }

  /// The ids that an effect may have in a log: its own, and the one that it had before ids sorted
  /// by time.
  public static func all(ofEffect text: String) -> [CommandID] {
    [CommandID(effect: text), CommandID(derivedFrom: text)]
  }

  /// Whether it is one of ``all(ofEffect:)``, which differ in the first six bytes only.
  public func isOf(effect text: String) -> Bool {
    let other = CommandID(effect: text)
    return self == other
      || withUnsafeBytes(of: uuid.uuid) { own in
        withUnsafeBytes(of: other.uuid.uuid) { own.dropFirst(6).elementsEqual($0.dropFirst(6)) }
      }
  }

  /// A new id that sorts by time (UUID version 7).
  public static func random(at time: Timestamp = .now) -> CommandID {
    CommandID(UUID.timeOrdered(at: time))
  }

  /// Lower-case, with dashes.
  public var description: String { uuid.text }
}

extension UUID {
  public init(bytes: some Sequence<UInt8>) {
    var value = noUUID
    withUnsafeMutableBytes(of: &value) { buffer in
      for (index, byte) in bytes.prefix(16).enumerated() { buffer[index] = byte }
    }
    self.init(uuid: value)
  }

  /// UUID version 7 (RFC 9562): 48 bits of milliseconds, then random bits.
  public static func timeOrdered(at time: Timestamp) -> UUID {
    timeOrdered(at: time, random: RandomWords.shared.pair())
  }

  /// As ``timeOrdered(at:)``, with random bits that somebody else draws.
  public static func timeOrdered(
    at time: Timestamp, using generator: inout some RandomNumberGenerator
  ) -> UUID {
    timeOrdered(at: time, random: (generator.next(), generator.next()))
  }

  private static func timeOrdered(at time: Timestamp, random: (UInt64, UInt64)) -> UUID {
    let milliseconds = UInt64(bitPattern: time.millisecondsSinceEpoch)
    let high = milliseconds << 16 | 0x7000 | random.0 & 0x0FFF
    let low = random.1 & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    var value = noUUID
    withUnsafeMutableBytes(of: &value) { buffer in
      buffer.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
      buffer.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    return UUID(uuid: value)
  }

  /// The first six bytes, which are the time in milliseconds, of the first UUID of version 7 that
  /// stands in the text; nil when there is none.
  fileprivate static func timeOrderedPrefix(in text: [UInt8]) -> [UInt8]? {
    let dash = UInt8(ascii: "-")
    for start in text.indices.dropLast(35)
    where text[start + 8] == dash && text[start + 13] == dash && text[start + 18] == dash
      && text[start + 23] == dash && text[start + 14] == UInt8(ascii: "7")
    {
      let name = String(decoding: text[start..<start + 36], as: UTF8.self)
      guard let uuid = UUID(uuidString: name) else { continue }
      return withUnsafeBytes(of: uuid.uuid) { Array($0.prefix(6)) }
    }
    return nil
  }

  /// Lower-case text, as the API shows ids.
  public var text: String {
    withUnsafeBytes(of: uuid) { bytes in
      String(unsafeUninitializedCapacity: 36) { text in
        var place = 0
        for (index, byte) in bytes.enumerated() {
          if index == 4 || index == 6 || index == 8 || index == 10 {
            text[place] = UInt8(ascii: "-")
            place += 1
          }
          text[place] = Self.hexadecimal(byte >> 4)
          text[place + 1] = Self.hexadecimal(byte & 15)
          place += 2
        }
        return place
      }
    }
  }

  private static func hexadecimal(_ digit: UInt8) -> UInt8 {
    digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit
  }
}

private let noUUID: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
