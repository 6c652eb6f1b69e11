import Commerce
import EventSourcing

/// Up to where an order's events count.
public enum OrderBound: Sendable, Hashable {
  /// Those up to this position of the log.
  case position(Position)
  /// Those before the first one that happened after this moment.
  case time(Timestamp)
}

/// An order as it was.
public struct PastOrder: Sendable {
  /// The row as JSON shows it.
  public var json: Fields
  public var asOf: AsOf

  /// The last event that is in what was read.
  public struct AsOf: Sendable, Hashable {
    public var position: Position
    public var timestamp: Timestamp
    /// The version of the order's own stream; nil when several orders were read.
    public var version: Version?
  }
}

/// Why an order cannot be shown as it was.
public enum PastUnavailable: Error, Sendable, Hashable {
  case unknownOrder(OrderID)
  /// The order has not had so many events yet.
  case beyondVersion(Version)
  case notPlacedYet(OrderID)
  /// The row does not name all events that would be needed: it names the first
  /// ``OrderRow/changesMax`` of them, and none when it was made before rows named any.
  case historyNotKept(OrderID)
}

/// The events that an order's row was made from, folded again as far as a bound says.
struct OrderHistory {
  private let id: OrderID
  private let positions: [Position]
  /// Whether the row names every event that made it.
  private let isWhole: Bool

  init(_ stored: StoredRow) throws {
    let row = try OrderRow(fields: stored.fields)
    id = row.orderID
    positions = row.changedBy.first == row.positionCreated ? row.changedBy : []
    isWhole = positions.count < OrderRow.changesMax || positions.last == stored.position
  }

  /// Where in the log the events are that may be needed.
  func positions(upTo bound: OrderBound) throws(PastUnavailable) -> [Position] {
    guard !positions.isEmpty else { throw .historyNotKept(id) }
    guard case .position(let last) = bound else { return positions }
    let needed = Array(positions.prefix { $0 <= last })
    if needed.count == positions.count, !isWhole, last > needed[needed.count - 1] {
      throw .historyNotKept(id)
    }
    return needed
  }

  /// Folds the events at ``positions(upTo:)`` as the projection did.
  /// - Throws: ``PastUnavailable``; ``LogCorruption`` when the log does not have all of them.
  func order(_ bound: OrderBound, from events: [Position: Recorded]) throws -> PastOrder {
    let needed = try positions(upTo: bound)
    let projection = OrdersProjection()
    var row: OrderRow?
    var last: Recorded?
    var version: Version?
    var isBounded = false
    for position in needed {
      guard let event = events[position] else {
        throw LogCorruption(position: position, reason: "it made \(id), and is not there")
      }
      if case .time(let time) = bound, event.timestamp > time {
        isBounded = true
        break
      }
      try projection.apply(event, to: &row, id: id.text)
      last = event
      if event.stream.category == Orders.category { version = event.version }
    }
    if case .time = bound, !isBounded, !isWhole { throw PastUnavailable.historyNotKept(id) }
    guard let row, let last else { throw PastUnavailable.notPlacedYet(id) }
    return PastOrder(
      json: row.json,
      asOf: PastOrder.AsOf(position: last.position, timestamp: last.timestamp, version: version))
  }
}
