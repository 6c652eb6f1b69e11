/// Bytes as lower-case text and back.
enum Hexadecimal {
  private static let digits = Array("0123456789abcdef".utf8)
  private static let dash = UInt8(ascii: "-")
  /// Where the dashes of a UUID stand.
  private static let dashes = [8, 13, 18, 23]

  static func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: characters(bytes), as: UTF8.self)
  }

  /// 16 bytes with dashes.
  static func uuid(_ bytes: some Sequence<UInt8>) -> String {
    var text = characters(bytes)
    for index in dashes { text.insert(dash, at: index) }
    return String(decoding: text, as: UTF8.self)
  }

  private static func characters(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(64)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return text
  }

  /// Nil for anything but pairs of lower-case digits.
  static func bytes(_ text: String) -> [UInt8]? { bytes(Array(text.utf8)) }

  /// Nil for anything but what ``uuid(_:)`` gives.
  static func uuidBytes(_ text: String) -> [UInt8]? {
    var text = Array(text.utf8)
    guard text.count == 36, dashes.allSatisfy({ text[$0] == dash }) else { return nil }
    for index in dashes.reversed() { text.remove(at: index) }
    return bytes(text)
  }

  private static func bytes(_ text: [UInt8]) -> [UInt8]? {
    guard text.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2)
    for index in stride(from: 0, to: text.count, by: 2) {
      guard let high = value(of: text[index]), let low = value(of: text[index + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }
}
