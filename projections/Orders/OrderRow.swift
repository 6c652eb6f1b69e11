import Commerce
import EventSourcing

/// An order with all that has happened to it: its payment, its stock, its milestones.
public struct OrderRow: QueriedRow {
  public static let internalKeys: Set<String> = ["position_created", "changed_by"]

  /// How many of the events that made a row it names, the first ones: a row stays small whatever
  /// happens to its order.
  public static let changesMax = 1000

  public enum Status: String, Sendable, CaseIterable {
    case initiated
    case stockReserved = "stock_reserved"
    case paid
    case confirmed
    /// On its way to `cancelled`: something failed, or the customer wants out.
    case cancelling
    case cancelled
  }

  public var orderID: OrderID
  public var userID: CustomerID
  public var userName: String
  public var userEmail: String
  public var items: [OrderItem]
  public var total: Money
  public var status: Status
  /// Nil before the payment was asked for.
  public var payment: OrderPaymentInfo?
  public var shippingAddress: ShippingAddress?
  public var storeID: Int64?
  /// Nil before the stock was asked for.
  public var reservation: OrderReservationInfo?
  public var cancellation: Cancellation?
  public var timeline: [Milestone]
  public var createdAt: Timestamp
  public var updatedAt: Timestamp
  public var positionCreated: Position
  /// The positions of the events that made this row, in order, at most ``changesMax``: what is
  /// needed to see the row as it was (``PastOrders``).
  public var changedBy: [Position]

  public struct Cancellation: Sendable, Equatable {
    public var reason: String
    /// As in `OUT_OF_STOCK`; nil until the order is cancelled.
    public var code: String?
  }

  public struct Milestone: Sendable, Equatable {
    /// The type of the event.
    public var event: String
    public var timestamp: Timestamp
    public var position: Position
  }

  init(_ order: OrderInitiated, by event: Recorded) {
    orderID = order.orderID
    userID = order.userID
    userName = order.userName
    userEmail = order.userEmail
    items = order.items
    total = order.total
    status = .initiated
    shippingAddress = order.shippingAddress
    storeID = order.storeID
    timeline = []
    createdAt = event.timestamp
    updatedAt = event.timestamp
    positionCreated = event.position
    changedBy = []
  }

  mutating func note(_ event: Recorded) {
    updatedAt = event.timestamp
    if changedBy.count < Self.changesMax { changedBy.append(event.position) }
  }

  /// One milestone for each event type of a commit: several lines reserved at once are one.
  mutating func pass(_ event: Recorded) {
    let isPassed = timeline.contains {
      $0.event == event.type && $0.position >= event.header.firstPosition
    }
    if isPassed { return }
    timeline.append(
      Milestone(event: event.type, timestamp: event.timestamp, position: event.position))
  }
}

extension OrderRow {
  public init(fields: Fields) throws {
    let total = try fields.money("total_amount")
    let shipping = try fields.object("shipping_info")
    self.total = total
    orderID = try fields.orderID()
    userID = try fields.customerID()
    userName = try fields.string("user_name")
    userEmail = try fields.string("user_email")
    items = try fields.objects("items") { try OrderItem(fields: $0, currency: total.currency) }
    status = try fields.choice("status")
    payment = try fields.objectIfPresent("payment_info").map(OrderPaymentInfo.init(fields:))
    shippingAddress = try shipping.objectIfPresent("address").map(ShippingAddress.init(fields:))
    storeID = try shipping.integerIfPresent("store_id")
    reservation = try fields.objectIfPresent("reservation").map(OrderReservationInfo.init(fields:))
    cancellation = try fields.objectIfPresent("cancellation").map(Cancellation.init(fields:))
    timeline = try fields.objects("timeline", decode: Milestone.init(fields:))
    createdAt = try fields.timestamp("created_at")
    updatedAt = try fields.timestamp("updated_at")
    positionCreated = try fields.position("position_created")
    changedBy = try fields.positionsIfPresent("changed_by")
  }

  public var fields: Fields {
    [
      "order_id": .string(orderID.text),
      "user_id": userID.value,
      "user_name": .string(userName),
      "user_email": .string(userEmail),
      "items": .array(items.map { .object($0.fields) }),
      "total_amount": total.value,
      "currency": .string(total.currency.code),
      "status": .string(status.rawValue),
      "payment_info": .optional(payment?.fields),
      "shipping_info": [
        "address": .optional(shippingAddress?.fields), "store_id": .optional(storeID),
      ],
      "reservation": .optional(reservation?.fields),
      "cancellation": .optional(cancellation?.fields),
      "timeline": .array(timeline.map { .object($0.fields) }),
      "created_at": .time(createdAt),
      "updated_at": .time(updatedAt),
      "position_created": .position(positionCreated),
      "changed_by": .array(changedBy.map { .position($0) }),
    ]
  }
}

extension OrderRow.Cancellation {
  fileprivate init(fields: Fields) throws {
    self.init(
      reason: try fields.string("reason"), code: try fields.stringIfPresent("code"))
  }

  fileprivate var fields: Fields { ["reason": .string(reason), "code": .optional(code)] }
}

extension OrderRow.Milestone {
  fileprivate init(fields: Fields) throws {
    self.init(
      event: try fields.string("event"), timestamp: try fields.timestamp("timestamp"),
      position: try fields.position("position"))
  }

  fileprivate var fields: Fields {
    [
      "event": .string(event), "timestamp": .time(timestamp), "position": .position(position),
    ]
  }
}
