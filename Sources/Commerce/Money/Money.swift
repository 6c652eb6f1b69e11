import EventSourcing

/// An exact amount of one currency, counted in its smallest unit (cents; whole yen).
public struct Money: Sendable, Hashable, CustomStringConvertible {
  public let minorUnits: Int64
  public let currency: Currency

  public init(minorUnits: Int64, currency: Currency) {
    self.minorUnits = minorUnits
    self.currency = currency
  }

  /// Takes a decimal amount as it is, never rounding: `5` and `5.0` and `5.00` are the same CAD.
  /// - Throws: ``MoneyError/tooManyFractionDigits(_:)`` when the amount is written with more digits
  ///   after the point than the currency has, ``MoneyError/outOfRange``.
  public init(_ amount: FixedDecimal, _ currency: Currency) throws(MoneyError) {
    guard amount.scale <= currency.fractionDigits else {
      throw .tooManyFractionDigits(currency)
    }
    guard let exact = amount.rescaled(to: currency.fractionDigits) else { throw .outOfRange }
    self.init(minorUnits: exact.unscaled, currency: currency)
  }

  public static func zero(_ currency: Currency) -> Money {
    Money(minorUnits: 0, currency: currency)
  }

  /// The decimal amount, always with the currency's digits: `5.00`.
  public var amount: FixedDecimal {
    FixedDecimal(unscaled: minorUnits, scale: currency.fractionDigits)
  }

  /// The amount as events, rows and JSON hold it; the currency is a field of its own.
  public var value: Value { .decimal(amount) }

  /// As in `199.99 CAD`.
  public var description: String { "\(amount) \(currency)" }

  /// - Throws: ``MoneyError/currencyMismatch(expected:got:)``, ``MoneyError/outOfRange``.
  public func adding(_ other: Money) throws(MoneyError) -> Money {
    try combined(with: other) { $0.addingReportingOverflow($1) }
  }

  /// - Throws: ``MoneyError/currencyMismatch(expected:got:)``, ``MoneyError/outOfRange``.
  public func subtracting(_ other: Money) throws(MoneyError) -> Money {
    try combined(with: other) { $0.subtractingReportingOverflow($1) }
  }

  /// - Throws: ``MoneyError/outOfRange``.
  public func multiplied(by count: Int64) throws(MoneyError) -> Money {
    let (product, overflow) = minorUnits.multipliedReportingOverflow(by: count)
    guard !overflow else { throw .outOfRange }
    return Money(minorUnits: product, currency: currency)
  }

  private func combined(
    with other: Money, _ operation: (Int64, Int64) -> (partialValue: Int64, overflow: Bool)
  ) throws(MoneyError) -> Money {
    guard currency == other.currency else {
      throw .currencyMismatch(expected: currency, got: other.currency)
    }
    let (result, overflow) = operation(minorUnits, other.minorUnits)
    guard !overflow else { throw .outOfRange }
    return Money(minorUnits: result, currency: currency)
  }
}

/// Why an amount of money cannot be.
public enum MoneyError: Error, Sendable, Hashable, CustomStringConvertible {
  case tooManyFractionDigits(Currency)
  case outOfRange
  case currencyMismatch(expected: Currency, got: Currency)

  public var description: String {
    switch self {
    case .tooManyFractionDigits(let currency):
      "must have at most \(currency.fractionDigits) digits after the point in \(currency)"
    case .outOfRange: "is out of range"
    case .currencyMismatch(let expected, let got): "is in \(got), not in \(expected)"
    }
  }
}

extension Fields {
  /// - Throws: ``FieldError`` also for a currency that the shop does not trade in.
  public func currency(_ key: String = "currency") throws(FieldError) -> Currency {
    let code = try string(key)
    guard let currency = Currency(code: code) else {
      throw FieldError(key, .invalid("must be one of CAD, USD, EUR, JPY"))
    }
    return currency
  }

  /// The amount under `key` in the currency that these fields name (`currency`), or in `currency`.
  public func money(_ key: String, in currency: Currency? = nil) throws(FieldError) -> Money {
    let amount = try decimal(key)
    let unit: Currency
    if let currency { unit = currency } else { unit = try self.currency() }
    do {
      return try Money(amount, unit)
    } catch {
      throw FieldError(key, .invalid(error.description))
    }
  }
}
