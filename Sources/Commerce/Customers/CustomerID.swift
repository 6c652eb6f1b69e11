import EventSourcing

/// A customer's number, 1 … 2³¹−1. Its stream id is the number in decimal.
public struct CustomerID: Sendable, Hashable, Comparable, CustomStringConvertible {
  public static let range: ClosedRange<Int64> = 1...2_147_483_647

  public let rawValue: Int64

  public init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// Reads decimal digits; nil for anything that is not a customer's number.
  public init?(_ text: String) {
    guard let number = Int64(text), Self.range.contains(number), String(number) == text else {
      return nil
    }
    self.init(number)
  }

  public var text: String { String(rawValue) }
  public var description: String { text }
  public var value: Value { .integer(rawValue) }

  public static func < (left: CustomerID, right: CustomerID) -> Bool {
    left.rawValue < right.rawValue
  }
}

extension Fields {
  /// - Throws: ``FieldError`` also for a number that no customer can have.
  public func customerID(_ key: String = "user_id") throws(FieldError) -> CustomerID {
    let number = try integer(key)
    guard CustomerID.range.contains(number) else {
      throw FieldError(key, .invalid("must be from 1 to 2147483647"))
    }
    return CustomerID(number)
  }
}
