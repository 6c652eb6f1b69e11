import Commerce
import EventSourcing

/// Counts orders and revenue by the day of the order, and in total. A cancellation counts on the
/// day that the order was placed, not on the day that it was cancelled.
public struct StatisticsProjection: Projection {
  private static let types: Set<String> = [
    OrderInitiated.type, OrderConfirmed.type, OrderCancelled.type,
  ]

  public init() {}

  public var name: String { "statistics" }
  public var consumes: EventSelection { EventSelection([Orders.category: Self.types]) }
  public var indexes: [ReadModelIndex] { [ReadModelIndex(.init("kind"), .init("date"))] }

  public func rows(touchedBy event: Recorded) throws -> [String] {
    let day = try event.data.timestamp("initiated_at").day
    return [StatisticsRow.Span.day(day).id, StatisticsRow.Span.total.id]
  }

  public func apply(_ event: Recorded, to row: inout StatisticsRow?, id: String) throws {
    var tally = row?.tally ?? OrderTally()
    switch try Orders.decode(event) {
    case .initiated(let order): try tally.initiate(order.total)
    case .confirmed(let order): try tally.confirm(order.total)
    case .cancelled(let order): try tally.cancel(order.total, wasConfirmed: order.wasConfirmed)
    case .cancellationRequested: return
    }
    if row == nil, tally.total == 0 { return }
    row = StatisticsRow(
      StatisticsRow.Span(id: id), tally: tally, updatedAt: event.timestamp)
  }
}
