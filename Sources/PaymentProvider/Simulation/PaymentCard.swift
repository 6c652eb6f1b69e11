import EventSourcing

/// A card whose number, code and date are well formed. Whether it pays is another matter.
struct PaymentCard: Sendable, Hashable {
  /// 12 to 19 digits with a correct check digit.
  let number: String
  /// The month after whose last day the card no longer pays.
  let expiry: Expiry

  struct Expiry: Sendable, Hashable, Comparable {
    let year: Int
    let month: Int

    static func < (left: Expiry, right: Expiry) -> Bool {
      (left.year, left.month) < (right.year, right.month)
    }
  }

  /// Throws ``FieldError`` for the first field that no real card could have. The card code is
  /// checked and forgotten, as the rules of card schemes ask.
  init(number: String, code: String, expiration: String) throws(FieldError) {
    let digits = number.filter { $0 != " " && $0 != "-" }
    guard (12...19).contains(digits.utf8.count), Self.isDigits(digits) else {
      throw FieldError("cardNumber", .invalid("must be 12 to 19 digits"))
    }
    guard Self.hasCorrectCheckDigit(digits) else {
      throw FieldError("cardNumber", .invalid("is not a card number: its check digit is wrong"))
    }
    guard (3...4).contains(code.utf8.count), Self.isDigits(code) else {
      throw FieldError("cardCode", .invalid("must be 3 or 4 digits"))
    }
    guard let expiry = Expiry(expiration) else {
      throw FieldError("expirationDate", .invalid("must be MM/YY, MM/YYYY, YYYY-MM or YYYY-MM-DD"))
    }
    self.number = digits
    self.expiry = expiry
  }

  func isExpired(at time: Timestamp) -> Bool {
    guard let now = Expiry(time.day) else { return true }
    return expiry < now
  }

  /// The numbers that always fail, as test numbers of payment providers do.
  var testDecline: DeclineCode? {
    switch number {
    case "4000000000000002": .cardDeclined
    case "4000000000009995": .insufficientFunds
    case "4000000000000069": .expiredCard
    default: nil
    }
  }

  private static func isDigits(_ text: String) -> Bool {
    text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// The Luhn check (ISO/IEC 7812-1, annex B).
  private static func hasCorrectCheckDigit(_ digits: String) -> Bool {
    var sum = 0
    for (index, byte) in digits.utf8.reversed().enumerated() {
      let digit = Int(byte - UInt8(ascii: "0"))
      let doubled = digit * 2
      sum += index.isMultiple(of: 2) ? digit : doubled > 9 ? doubled - 9 : doubled
    }
    return sum.isMultiple(of: 10)
  }
}

extension PaymentCard.Expiry {
  /// Reads `MM/YY`, `MM/YYYY`, `YYYY-MM` and `YYYY-MM-DD`; two-digit years are of this century.
  init?(_ text: String) {
    let year: Int
    let month: Int
    let slashed = text.split(separator: "/", omittingEmptySubsequences: false)
    let dashed = text.split(separator: "-", omittingEmptySubsequences: false)
    func number(_ part: Substring, digits: Int) -> Int? {
      guard part.utf8.count == digits, part.allSatisfy(\.isNumber) else { return nil }
      return Int(part)
    }
    if slashed.count == 2 {
      guard let first = number(slashed[0], digits: 2) else { return nil }
      month = first
      if let short = number(slashed[1], digits: 2) {
        year = 2000 + short
      } else if let long = number(slashed[1], digits: 4) {
        year = long
      } else {
        return nil
      }
    } else if dashed.count == 2 || dashed.count == 3 {
      guard let first = number(dashed[0], digits: 4), let second = number(dashed[1], digits: 2)
      else { return nil }
      if dashed.count == 3, Timestamp(iso8601: text) == nil { return nil }
      year = first
      month = second
    } else {
      return nil
    }
    guard (1...12).contains(month) else { return nil }
    self.init(year: year, month: month)
  }
}
