import Commerce
import EventSourcing

/// One row a choreographed order, begun by ``OrderInitiated``: the passive watcher of orders that
/// nobody conducts. It commands nothing.
///
/// Events of other orders lack the mark of a choreography and touch no row, so that none is loaded
/// for them.
public struct ChoreographiesProjection: Projection {
  private static let orderTypes: Set<String> = [
    OrderInitiated.type, OrderCancellationRequested.type, OrderConfirmed.type, OrderCancelled.type,
  ]
  private static let stockTypes: Set<String> = [
    StockReserved.type, StockUnavailable.type, StockReleased.type, StockReservationBarred.type,
  ]
  private static let paymentTypes: Set<String> = [
    PaymentInitiated.type, PaymentProcessed.type, PaymentFailed.type, PaymentRefundRequested.type,
    PaymentRefunded.type, PaymentVoided.type,
  ]
  private static let notificationTypes: Set<String> = [
    NotificationSent.type, NotificationFailed.type,
  ]

  public init() {}

  public var name: String { "choreographies" }
  public var consumes: EventSelection {
    EventSelection([
      Orders.category: Self.orderTypes, Inventory.category: Self.stockTypes,
      Payments.category: Self.paymentTypes, Notifications.category: Self.notificationTypes,
    ])
  }
  public var indexes: [ReadModelIndex] {
    let newestFirst = ReadModelIndex.Key("position_started", isDescending: true)
    return [
      ReadModelIndex(newestFirst), ReadModelIndex(.init("state"), newestFirst),
      ReadModelIndex(.init("is_ended"), .init("waiting_since")),
    ]
  }

  public func rows(touchedBy event: Recorded) throws -> [String] {
    guard event.isChoreographed else { return [] }
    // All products of an order are moved in one commit, whose first event speaks for it.
    if event.stream.category == Inventory.category, event.index > 0 { return [] }
    return [try event.data.orderID().sagaID]
  }

  public func begins(_ id: String, with event: Recorded) -> Bool {
    event.version == Version(1) && event.type == OrderInitiated.type
  }

  public func apply(_ event: Recorded, to row: inout ChoreographyRow?, id: String) throws {
    let happening = try Happening(event)
    if row == nil, case .placed(let order) = happening {
      row = ChoreographyRow(order, at: event)
    }
    row?.apply(happening, at: event)
  }
}
