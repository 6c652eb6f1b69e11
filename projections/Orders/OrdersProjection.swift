import Commerce
import EventSourcing

/// One row an order, begun by ``OrderInitiated``. What concerns an order that has no row (stock
/// reserved by hand, events appended by hand) leaves no trace here.
public struct OrdersProjection: Projection {
  private static let orderTypes: Set<String> = [
    OrderInitiated.type, OrderCancellationRequested.type, OrderConfirmed.type, OrderCancelled.type,
  ]
  private static let stockTypes: Set<String> = [
    StockReserved.type, StockUnavailable.type, StockReleased.type,
  ]
  private static let paymentTypes: Set<String> = [
    PaymentInitiated.type, PaymentProcessed.type, PaymentFailed.type, PaymentRefundRequested.type,
    PaymentRefunded.type, PaymentVoided.type,
  ]
  private static let notificationTypes: Set<String> = [
    NotificationSent.type, NotificationFailed.type,
  ]
  /// Steps of the payment that nobody waits for, and that the timeline leaves out.
  private static let silentTypes: Set<String> = [
    PaymentInitiated.type, PaymentRefundRequested.type,
  ]

  public init() {}

  public var name: String { "orders" }
  /// 2: rows name the events that made them.
  public var version: Int { 2 }
  public var consumes: EventSelection {
    EventSelection([
      Orders.category: Self.orderTypes, Inventory.category: Self.stockTypes,
      Payments.category: Self.paymentTypes, Notifications.category: Self.notificationTypes,
    ])
  }
  /// People look at their order as soon as it is placed.
  public var batchPause: Duration { .milliseconds(4) }
  public var indexes: [ReadModelIndex] {
    let newestFirst = ReadModelIndex.Key("position_created", isDescending: true)
    let latestFirst = ReadModelIndex.Key("created_at", isDescending: true)
    return [
      ReadModelIndex(newestFirst),
      ReadModelIndex(.init("status"), newestFirst),
      ReadModelIndex(.init("user_id"), newestFirst),
      ReadModelIndex(.init("user_id"), .init("status"), newestFirst),
      ReadModelIndex(latestFirst),
      ReadModelIndex(.init("user_id"), latestFirst),
    ]
  }

  public func rows(touchedBy event: Recorded) throws -> [String] {
    [try event.data.orderID().text]
  }

  public func begins(_ id: String, with event: Recorded) -> Bool {
    event.version == Version(1) && event.type == OrderInitiated.type
  }

  public func apply(_ event: Recorded, to row: inout OrderRow?, id: String) throws {
    switch event.stream.category {
    case Orders.category:
      let decoded = try Orders.decode(event)
      if row?.ignores(decoded) ?? false { return }
      if row == nil, case .initiated(let order) = decoded { row = OrderRow(order, by: event) }
      row?.apply(decoded)
    case Inventory.category: try row?.apply(try Inventory.decode(event))
    case Payments.category: row?.apply(try Payments.decode(event), at: event.timestamp)
    default: _ = try Notifications.decode(event)
    }
    if !Self.silentTypes.contains(event.type) { row?.pass(event) }
    row?.note(event)
  }
}

extension OrderRow {
  /// Whether an event comes too late to mean anything.
  fileprivate func ignores(_ event: OrderEvent) -> Bool {
    switch event {
    case .initiated: true
    case .cancellationRequested: status == .cancelled
    case .confirmed, .cancelled: false
    }
  }

  fileprivate mutating func apply(_ event: OrderEvent) {
    switch event {
    case .initiated: break
    case .cancellationRequested(let request):
      status = .cancelling
      cancellation = Cancellation(reason: request.reason, code: nil)
    case .confirmed:
      // A cancellation that was asked for before goes on.
      switch status {
      case .initiated, .stockReserved, .paid: status = .confirmed
      case .confirmed, .cancelling, .cancelled: break
      }
    case .cancelled(let end):
      status = .cancelled
      cancellation = Cancellation(reason: end.reason, code: end.code)
    }
  }

  fileprivate mutating func apply(_ event: StockEvent) throws {
    reservation = try OrderReservationInfo.after(event, from: reservation)
    guard status == .initiated else { return }
    switch event {
    case .reserved: status = .stockReserved
    case .unavailable: status = .cancelling
    case .released, .reservationBarred, .holdExtended, .holdSecured, .restocked, .deducted,
      .adjusted, .transferred:
      break
    }
  }

  fileprivate mutating func apply(_ event: PaymentEvent, at time: Timestamp) {
    if case .initiated(let initiated) = event {
      payment = payment ?? OrderPaymentInfo(initiated)
    } else {
      payment?.apply(event, at: time)
    }
    guard status == .initiated || status == .stockReserved else { return }
    switch event {
    case .processed: status = .paid
    case .failed: status = .cancelling
    case .initiated, .refundRequested, .refunded, .voided: break
    }
  }
}
