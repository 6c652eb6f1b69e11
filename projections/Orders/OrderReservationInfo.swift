import Commerce
import EventSourcing

/// The stock that an order holds, held, or could not have.
public struct OrderReservationInfo: Sendable, Equatable {
  public enum Status: String, Sendable {
    case reserved
    case released
    /// Nothing was held: at least one product was short.
    case unavailable
  }

  public struct Item: Sendable, Equatable {
    public var productID: ProductID
    /// Reserved; of an unavailable product, asked for.
    public var quantity: Int64
    public var releasedQuantity: Int64 = 0
    /// Of an unavailable product: how many the order could have had.
    public var availableQuantity: Int64?
  }

  public var reservationID: String
  public var status: Status
  public var items: [Item]

  private init(_ order: OrderID, _ status: Status) {
    reservationID = order.reservationID.text
    self.status = status
    items = []
  }

  /// What `reservation` is after an event of the stock.
  static func after(
    _ event: StockEvent, from reservation: OrderReservationInfo?
  ) throws -> OrderReservationInfo? {
    switch event {
    case .reserved(let event):
      var held = reservation ?? OrderReservationInfo(event.orderID, .reserved)
      if held.status == .unavailable { held.items = [] }
      held.status = .reserved
      try held.reserve(event)
      return held
    case .released(let event):
      guard var held = reservation, held.status != .unavailable else { return reservation }
      try held.release(event)
      return held
    case .unavailable(let event):
      var short = reservation ?? OrderReservationInfo(event.orderID, .unavailable)
      guard short.status == .unavailable else { return reservation }
      short.items.removeAll { $0.productID == event.productID }
      short.items.append(
        Item(
          productID: event.productID, quantity: event.requestedQuantity,
          availableQuantity: event.availableQuantity))
      return short
    case .reservationBarred, .holdExtended, .holdSecured, .restocked, .deducted, .adjusted,
      .transferred:
      return reservation
    }
  }

  private mutating func reserve(_ event: StockReserved) throws {
    if let index = items.firstIndex(where: { $0.productID == event.productID }) {
      try items[index].quantity.add(event.quantity)
    } else {
      items.append(Item(productID: event.productID, quantity: event.quantity))
    }
  }

  private mutating func release(_ event: StockReleased) throws {
    guard let index = items.firstIndex(where: { $0.productID == event.productID }) else { return }
    try items[index].releasedQuantity.add(event.quantity)
    if items.allSatisfy({ $0.releasedQuantity >= $0.quantity }) { status = .released }
  }
}

extension OrderReservationInfo {
  init(fields: Fields) throws {
    reservationID = try fields.string("reservation_id")
    status = try fields.choice("status")
    items = try fields.objects("items") {
      Item(
        productID: try $0.productID(), quantity: try $0.integer("quantity"),
        releasedQuantity: try $0.integer("released_quantity"),
        availableQuantity: try $0.integerIfPresent("available_quantity"))
    }
  }

  var fields: Fields {
    [
      "reservation_id": .string(reservationID),
      "status": .string(status.rawValue),
      "items": .array(
        items.map { item in
          [
            "product_id": item.productID.value, "quantity": .integer(item.quantity),
            "released_quantity": .integer(item.releasedQuantity),
            "available_quantity": .optional(item.availableQuantity),
          ]
        }),
    ]
  }
}
