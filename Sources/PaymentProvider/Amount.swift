import EventSourcing

/// An amount of money in minor units of its currency: `199.99 CAD` is 19999.
public struct Amount: Sendable, Hashable {
  public enum Currency: String, Sendable, CaseIterable {
    case cad = "CAD"
    case usd = "USD"
    case eur = "EUR"
    case jpy = "JPY"

    /// Digits after the point (ISO 4217).
    public var digits: Int {
      switch self {
      case .cad, .usd, .eur: 2
      case .jpy: 0
      }
    }
  }

  public let minorUnits: Int64
  public let currency: Currency

  /// What one payment may be: 0.01 to 10,000,000,000.00. The bound lets millions of payments be
  /// added up in 64 bits.
  public static let minorUnitsAllowed: ClosedRange<Int64> = 1...1_000_000_000_000

  public init(minorUnits: Int64, currency: Currency) {
    self.minorUnits = minorUnits
    self.currency = currency
  }

  /// Reads the decimal that a body carries. Throws ``FieldError`` for `field` when the amount is
  /// not positive, is too large, or has more digits than its currency.
  public init(
    _ decimal: FixedDecimal, currency: Currency, field: String
  ) throws(FieldError) {
    guard let exact = decimal.rescaled(to: currency.digits) else {
      let digits = "\(currency.digits) digits after the point in \(currency.rawValue)"
      throw FieldError(field, .invalid("must have at most \(digits)"))
    }
    guard exact.unscaled > 0 else { throw FieldError(field, .invalid("must be more than 0")) }
    guard Self.minorUnitsAllowed.contains(exact.unscaled) else {
      throw FieldError(field, .invalid("is too large"))
    }
    self.init(minorUnits: exact.unscaled, currency: currency)
  }

  public static func zero(_ currency: Currency) -> Amount {
    Amount(minorUnits: 0, currency: currency)
  }

  /// The decimal number that JSON carries, always with the currency's digits.
  public var value: Value {
    currency.digits == 0
      ? .integer(minorUnits)
      : .decimal(FixedDecimal(unscaled: minorUnits, scale: currency.digits))
  }
}
