import Commerce
import EventSourcing

/// The orders placed on one day (UTC), or all of them.
public struct StatisticsRow: QueriedRow {
  public static let internalKeys: Set<String> = ["kind"]

  /// Which orders a row counts.
  public enum Span: Sendable, Hashable {
    /// Placed on this day, `2026-01-01`.
    case day(String)
    case total

    public var id: String {
      switch self {
      case .day(let day): "day_\(day)"
      case .total: "total"
      }
    }

    var kind: String {
      switch self {
      case .day: "day"
      case .total: "total"
      }
    }

    var day: String? {
      if case .day(let day) = self { day } else { nil }
    }

    init(id: String) {
      self = id.hasPrefix("day_") ? .day(String(id.dropFirst(4))) : .total
    }
  }

  public var span: Span
  public var tally: OrderTally
  public var updatedAt: Timestamp

  public init(fields: Fields) throws {
    span = try fields.stringIfPresent("date").map(Span.day) ?? .total
    tally = try OrderTally(
      statusCounts: try fields.object("status_counts"),
      sales: try fields.objects("revenue_by_currency", decode: OrderTally.Sales.init(fields:)))
    updatedAt = try fields.timestamp("updated_at")
  }

  init(_ span: Span, tally: OrderTally, updatedAt: Timestamp) {
    self.span = span
    self.tally = tally
    self.updatedAt = updatedAt
  }

  public var fields: Fields {
    Fields(
      [("kind", .string(span.kind)), ("date", .optional(span.day))] + tally.report
        + [("updated_at", .time(updatedAt))])
  }
}

extension OrderTally {
  /// What statistics say about a span of time.
  var report: [(String, Value)] {
    let leading = leading
    return [
      ("total_orders", .integer(total)),
      ("confirmed_orders", .integer(confirmed)),
      ("total_revenue", leading.revenue.value),
      ("avg_order_value", leading.average.value),
      ("currency", .string(leading.currency.code)),
      ("status_counts", statusCounts),
      ("orders_by_status", ordersByStatus),
      ("revenue_by_currency", revenueByCurrency),
    ]
  }
}
