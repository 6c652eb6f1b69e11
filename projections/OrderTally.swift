import Commerce
import EventSourcing

/// How many orders there are in which status, and what the confirmed ones brought in: of one day,
/// of one customer, or of all.
public struct OrderTally: Sendable, Equatable {
  /// What orders of one currency brought in.
  public struct Sales: Sendable, Equatable {
    public var currency: Currency
    public var orders: Int64
    public var confirmed: Int64
    public var revenueMinorUnits: Int64

    public var revenue: Money { Money(minorUnits: revenueMinorUnits, currency: currency) }

    /// Revenue by confirmed order, rounded half up to the currency's digits; 0 without any.
    public var average: Money {
      guard confirmed > 0 else { return .zero(currency) }
      var (average, rest) = revenueMinorUnits.quotientAndRemainder(dividingBy: confirmed)
      if rest < 0 { (average, rest) = (average - 1, rest + confirmed) }
      return Money(minorUnits: rest >= confirmed - rest ? average + 1 : average, currency: currency)
    }
  }

  /// Neither confirmed nor cancelled yet.
  public var initiated: Int64 = 0
  /// Confirmed and not cancelled since.
  public var confirmed: Int64 = 0
  public var cancelled: Int64 = 0
  /// One for each currency that an order was placed in, by code.
  public var sales: [Sales] = []

  public init() {}

  public var total: Int64 { initiated + confirmed + cancelled }

  /// The sales in the currency that single amounts are given in: the only one that orders were
  /// placed in, else the shop's.
  public var leading: Sales {
    if sales.count == 1 { return sales[0] }
    return sales.first { $0.currency == .cad }
      ?? Sales(currency: .cad, orders: 0, confirmed: 0, revenueMinorUnits: 0)
  }

  mutating func initiate(_ amount: Money) throws {
    try initiated.add(1)
    try change(amount.currency) { try $0.orders.add(1) }
  }

  /// Ignores a confirmation without an order that could be confirmed: one appended by hand.
  mutating func confirm(_ amount: Money) throws {
    guard initiated > 0 else { return }
    initiated -= 1
    try confirmed.add(1)
    try change(amount.currency) {
      try $0.confirmed.add(1)
      try $0.revenueMinorUnits.add(amount.minorUnits)
    }
  }

  /// Takes the revenue back when the order had been confirmed.
  mutating func cancel(_ amount: Money, wasConfirmed: Bool) throws {
    if wasConfirmed {
      guard confirmed > 0 else { return }
      confirmed -= 1
      try change(amount.currency) {
        try $0.confirmed.subtract(1)
        try $0.revenueMinorUnits.subtract(amount.minorUnits)
      }
    } else {
      guard initiated > 0 else { return }
      initiated -= 1
    }
    try cancelled.add(1)
  }

  mutating func add(_ other: OrderTally) throws {
    try initiated.add(other.initiated)
    try confirmed.add(other.confirmed)
    try cancelled.add(other.cancelled)
    for sale in other.sales {
      try change(sale.currency) {
        try $0.orders.add(sale.orders)
        try $0.confirmed.add(sale.confirmed)
        try $0.revenueMinorUnits.add(sale.revenueMinorUnits)
      }
    }
  }

  private mutating func change(_ currency: Currency, _ change: (inout Sales) throws -> Void) throws
  {
    if let index = sales.firstIndex(where: { $0.currency == currency }) {
      try change(&sales[index])
    } else {
      var new = Sales(currency: currency, orders: 0, confirmed: 0, revenueMinorUnits: 0)
      try change(&new)
      sales.append(new)
      sales.sort { $0.currency.code < $1.currency.code }
    }
  }
}

extension OrderTally {
  init(statusCounts: Fields, sales: [Sales]) throws {
    initiated = try statusCounts.integer("initiated")
    confirmed = try statusCounts.integer("confirmed")
    cancelled = try statusCounts.integer("cancelled")
    self.sales = sales
  }

  /// `{initiated, confirmed, cancelled}`.
  var statusCounts: Value {
    [
      "initiated": .integer(initiated), "confirmed": .integer(confirmed),
      "cancelled": .integer(cancelled),
    ]
  }

  /// `[{status, count}]`.
  var ordersByStatus: Value {
    [
      ["status": "initiated", "count": .integer(initiated)],
      ["status": "confirmed", "count": .integer(confirmed)],
      ["status": "cancelled", "count": .integer(cancelled)],
    ]
  }

  /// `[{currency, total_orders, confirmed_orders, total_revenue, avg_order_value}]`.
  var revenueByCurrency: Value {
    .array(
      sales.map { sale in
        [
          "currency": .string(sale.currency.code), "total_orders": .integer(sale.orders),
          "confirmed_orders": .integer(sale.confirmed), "total_revenue": sale.revenue.value,
          "avg_order_value": sale.average.value,
        ]
      })
  }
}

extension OrderTally.Sales {
  /// Reads one element of ``OrderTally/revenueByCurrency``.
  init(fields: Fields) throws {
    self.init(
      currency: try fields.currency(), orders: try fields.integer("total_orders"),
      confirmed: try fields.integer("confirmed_orders"),
      revenueMinorUnits: try fields.money("total_revenue").minorUnits)
  }
}
