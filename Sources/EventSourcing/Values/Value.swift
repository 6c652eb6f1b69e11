/// A value of an event's data, a read model's row or a JSON body: exact, ordered, neutral of storage.
///
/// There is no binary floating point on purpose. A JSON number with a fraction becomes a
/// ``Decimal`` and keeps every digit; BSON stores it as Decimal128.
public enum Value: Sendable, Hashable {
  case null
  case bool(Bool)
  case integer(Int64)
  case decimal(FixedDecimal)
  case string(String)
  case array([Value])
  case object(Fields)

  /// The name that an error message uses for this kind of value.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "boolean"
    case .integer: "integer"
    case .decimal: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  public var stringValue: String? {
    if case .string(let string) = self { string } else { nil }
  }

  public var integerValue: Int64? {
    if case .integer(let integer) = self { integer } else { nil }
  }

  public var objectValue: Fields? {
    if case .object(let fields) = self { fields } else { nil }
  }

  public var arrayValue: [Value]? {
    if case .array(let values) = self { values } else { nil }
  }

  /// Integers as they are, decimals exactly; nil for anything else.
  public var decimalValue: FixedDecimal? {
    switch self {
    case .integer(let integer): FixedDecimal(unscaled: integer, scale: 0)
    case .decimal(let decimal): decimal
    default: nil
    }
  }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: Value...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, Value)...) {
    self = .object(Fields(elements))
  }
  public init(nilLiteral: ()) { self = .null }
}

/// An exact decimal number: `unscaled × 10^-scale`. `199.99` is `(19999, 2)`.
///
/// Equality is by digits: `1.5` and `1.50` differ, as they do in JSON text and in Decimal128.
public struct FixedDecimal: Sendable, Hashable, CustomStringConvertible {
  public var unscaled: Int64
  /// Digits after the point, 0 … 18.
  public var scale: Int

  public init(unscaled: Int64, scale: Int) {
    precondition((0...18).contains(scale), "a decimal has 0 to 18 digits after the point")
    self.unscaled = unscaled
    self.scale = scale
  }

  public var description: String {
    guard scale > 0 else { return String(unscaled) }
    var digits = String(unscaled.magnitude)
    if digits.count <= scale {
      digits = String(repeating: "0", count: scale + 1 - digits.count) + digits
    }
    let point = digits.index(digits.endIndex, offsetBy: -scale)
    return (unscaled < 0 ? "-" : "") + digits[..<point] + "." + digits[point...]
  }

  /// The same number with exactly `newScale` digits after the point, or nil when that would
  /// need rounding or would overflow 64 bits.
  public func rescaled(to newScale: Int) -> FixedDecimal? {
    var value = unscaled
    var current = scale
    while current < newScale {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      if overflow { return nil }
      value = product
      current += 1
    }
    while current > newScale {
      let (quotient, remainder) = value.quotientAndRemainder(dividingBy: 10)
      if remainder != 0 { return nil }
      value = quotient
      current -= 1
    }
    return FixedDecimal(unscaled: value, scale: newScale)
  }
}
