import EventSourcing

/// A product's number, 1 … 2³¹−1. Its stream ids are the number in decimal.
public struct ProductID: Sendable, Hashable, Comparable, CustomStringConvertible {
  public static let range: ClosedRange<Int64> = 1...2_147_483_647

  public let rawValue: Int64

  public init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// Reads decimal digits; nil for anything that is not a product's number.
  public init?(_ text: String) {
    guard let number = Int64(text), Self.range.contains(number), String(number) == text else {
      return nil
    }
    self.init(number)
  }

  public var text: String { String(rawValue) }
  public var description: String { text }
  public var value: Value { .integer(rawValue) }

  public static func < (left: ProductID, right: ProductID) -> Bool {
    left.rawValue < right.rawValue
  }
}

extension Fields {
  /// - Throws: ``FieldError`` also for a number that no product can have.
  public func productID(_ key: String = "product_id") throws(FieldError) -> ProductID {
    let number = try integer(key)
    guard ProductID.range.contains(number) else {
      throw FieldError(key, .invalid("must be from 1 to 2147483647"))
    }
    return ProductID(number)
  }
}
