/// A currency that the shop trades in, by its ISO 4217 code.
public enum Currency: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case cad = "CAD"
  case usd = "USD"
  case eur = "EUR"
  case jpy = "JPY"

  /// Digits after the point in an amount: the exponent of ISO 4217.
  public var fractionDigits: Int {
    switch self {
    case .cad, .usd, .eur: 2
    case .jpy: 0
    }
  }

  public var code: String { rawValue }
  public var description: String { rawValue }

  /// Reads an upper-case code; nil for a currency that the shop does not trade in.
  public init?(code: String) { self.init(rawValue: code) }
}
