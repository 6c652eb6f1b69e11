import EventSourcing

/// A way to fail that can be switched on while the provider runs.
public enum FailureCode: String, Sendable, CaseIterable {
  /// The bank says no: 402. These three strike payments only.
  case cardDeclined = "CARD_DECLINED"
  case insufficientFunds = "INSUFFICIENT_FUNDS"
  case expiredCard = "EXPIRED_CARD"
  /// Nothing is done, and the answer says so: 503. This and the ones below strike refunds too.
  case serviceUnavailable = "SERVICE_UNAVAILABLE"
  /// Nothing is done, and no answer ever comes.
  case noAnswer = "NO_ANSWER"
  /// The work is done, and the answer says that something went wrong: 500.
  case doneButError = "DONE_BUT_ERROR"
  /// The work is done, and no answer ever comes.
  case doneButNoAnswer = "DONE_BUT_NO_ANSWER"

  static let declines: [FailureCode] = [.cardDeclined, .insufficientFunds, .expiredCard]

  /// What a refund suffers: a bank does not decline to take money back.
  var strikesRefunds: Bool { !Self.declines.contains(self) }
}

/// How often something fails, from never (0) to always (1), to a millionth.
public struct FailureRate: Sendable, Hashable, LosslessStringConvertible {
  public let partsPerMillion: Int64

  public static let never = FailureRate(unchecked: 0)
  public static let always = FailureRate(unchecked: 1_000_000)

  private init(unchecked: Int64) { partsPerMillion = unchecked }

  /// Nil outside 0…1 and for more than six digits after the point.
  public init?(_ decimal: FixedDecimal) {
    guard let parts = decimal.rescaled(to: 6)?.unscaled, (0...1_000_000).contains(parts) else {
      return nil
    }
    self.init(unchecked: parts)
  }

  /// Reads `0`, `0.25`, `1`.
  public init?(_ description: String) {
    guard let decimal = (try? JSONReader.value(from: description))?.decimalValue else { return nil }
    self.init(decimal)
  }

  public var description: String { value.description }

  /// The decimal without needless zeros: `0.25`.
  public var value: FixedDecimal {
    let exact = FixedDecimal(unscaled: partsPerMillion, scale: 6)
    for scale in 0..<6 {
      if let shorter = exact.rescaled(to: scale) { return shorter }
    }
    return exact
  }
}
