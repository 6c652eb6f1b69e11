import Commerce
import EventSourcing
import Testing

@Suite struct MoneyTests {
  private func decimal(_ json: String) throws -> FixedDecimal {
    try #require(try JSONReader.value(from: json).decimalValue)
  }

  @Test(
    "an amount is read exactly, with as many digits as the currency has or fewer",
    arguments: [
      ("199.99", Currency.cad, Int64(19_999)), ("5", .usd, 500), ("5.5", .eur, 550),
      ("0.01", .cad, 1), ("1200", .jpy, 1200), ("-3.10", .cad, -310),
      ("92233720368547758.07", .cad, .max),
    ])
  func readsExactly(json: String, currency: Currency, minorUnits: Int64) throws {
    #expect(try Money(try decimal(json), currency).minorUnits == minorUnits)
  }

  @Test(
    "an amount with more digits after the point than its currency has is refused",
    arguments: [("1.999", Currency.cad), ("1.990", .usd), ("1.5", .jpy), ("1.0", .jpy)])
  func refusesTooManyDigits(json: String, currency: Currency) throws {
    let amount = try decimal(json)
    #expect(throws: MoneyError.tooManyFractionDigits(currency)) { try Money(amount, currency) }
  }

  @Test("an amount that does not fit 64 bits of minor units is refused")
  func refusesOutOfRange() throws {
    #expect(throws: MoneyError.outOfRange) {
      try Money(FixedDecimal(unscaled: .max, scale: 0), .cad)
    }
  }

  @Test("an amount is written with all digits of its currency")
  func writesAllDigits() {
    #expect(Money(minorUnits: 500, currency: .cad).description == "5.00 CAD")
    #expect(Money(minorUnits: 7, currency: .eur).amount.description == "0.07")
    #expect(Money(minorUnits: 500, currency: .jpy).amount.description == "500")
    #expect(JSONWriter.text(Money(minorUnits: 19_999, currency: .usd).value) == "199.99")
  }

  @Test("sums, differences and products that overflow are refused")
  func refusesOverflow() throws {
    let most = Money(minorUnits: .max, currency: .cad)
    let least = Money(minorUnits: .min, currency: .cad)
    let one = Money(minorUnits: 1, currency: .cad)
    #expect(throws: MoneyError.outOfRange) { try most.adding(one) }
    #expect(throws: MoneyError.outOfRange) { try least.subtracting(one) }
    #expect(throws: MoneyError.outOfRange) { try most.multiplied(by: 2) }
    #expect(try one.adding(one).multiplied(by: 3).subtracting(one).minorUnits == 5)
  }

  @Test("amounts of different currencies do not mix")
  func refusesMixing() {
    let dollars = Money(minorUnits: 1, currency: .cad)
    let yen = Money(minorUnits: 1, currency: .jpy)
    #expect(throws: MoneyError.currencyMismatch(expected: .cad, got: .jpy)) {
      try dollars.adding(yen)
    }
    #expect(throws: MoneyError.currencyMismatch(expected: .jpy, got: .cad)) {
      try yen.subtracting(dollars)
    }
  }

  @Test("fields without a known currency, or with a malformed amount, hold no money")
  func readsFields() throws {
    let price: Value = .decimal(FixedDecimal(unscaled: 1999, scale: 3))
    #expect(throws: FieldError("currency", .missing)) {
      try (["unit_price": 5] as Fields).money("unit_price")
    }
    #expect(throws: FieldError("currency", .invalid("must be one of CAD, USD, EUR, JPY"))) {
      try (["unit_price": 5, "currency": "XXX"] as Fields).money("unit_price")
    }
    #expect(throws: FieldError.self) {
      try (["unit_price": price, "currency": "CAD"] as Fields).money("unit_price")
    }
    #expect(
      try (["unit_price": 5] as Fields).money("unit_price", in: .cad)
        == Money(minorUnits: 500, currency: .cad))
  }
}
