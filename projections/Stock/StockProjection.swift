import Commerce
import EventSourcing

/// The stock of each product, with its name and price from the catalogue. A row begins with the
/// product, or with its first stock.
public struct StockProjection: Projection {
  /// The others move no stock.
  private static let stockTypes: Set<String> = [
    StockRestocked.type, StockReserved.type, StockReleased.type, StockDeducted.type,
    StockAdjusted.type, StockTransferred.type,
  ]
  private static let productTypes: Set<String> = [
    ProductAdded.type, ProductPriceChanged.type, ProductRetired.type,
  ]

  public init() {}

  public var name: String { "stock" }
  public var consumes: EventSelection {
    EventSelection([
      Inventory.category: Self.stockTypes, Products.category: Self.productTypes,
    ])
  }
  public var indexes: [ReadModelIndex] {
    [
      ReadModelIndex(.init("product_id")),
      ReadModelIndex(.init("low_stock_alert"), .init("product_id")),
    ]
  }

  public func rows(touchedBy event: Recorded) throws -> [String] {
    [try event.data.productID().text]
  }

  public func apply(_ event: Recorded, to row: inout StockRow?, id: String) throws {
    if event.stream.category == Products.category {
      Self.apply(try Products.decode(event), to: &row, at: event.timestamp)
    } else {
      let decoded = try Inventory.decode(event)
      if row == nil { row = StockRow(try event.data.productID(), at: event.timestamp) }
      try row?.apply(decoded, at: event.timestamp)
    }
    row?.updatedAt = event.timestamp
  }

  private static func apply(
    _ event: ProductEvent, to row: inout StockRow?, at time: Timestamp
  ) {
    switch event {
    case .added(let product):
      if row == nil { row = StockRow(product.productID, at: time) }
      row?.productName = product.name
      row?.unitPrice = product.unitPrice
    case .priceChanged(let change): row?.unitPrice = change.unitPrice
    case .retired: row?.isRetired = true
    }
  }
}

extension StockRow {
  fileprivate mutating func apply(_ event: StockEvent, at time: Timestamp) throws {
    switch event {
    case .restocked(let event):
      // The catalogue's name stays when there is one.
      productName =
        unitPrice == nil ? event.productName ?? productName : productName
      reorderLevel = event.reorderLevel
      lastRestockedAt = time
      level = event.level
      try change(at: event.location, available: event.quantity)
    case .reserved(let event):
      level = event.level
      for taken in event.allocations {
        try change(at: taken.location, available: 0 &- taken.quantity, reserved: taken.quantity)
      }
      try hold(event.quantity, for: event.orderID, at: time)
    case .released(let event):
      level = event.level
      for freed in event.allocations {
        try change(at: freed.location, available: freed.quantity, reserved: 0 &- freed.quantity)
      }
      try unhold(event.quantity, for: event.orderID)
    case .deducted(let event):
      try apply(event)
    case .adjusted(let event):
      level = event.level
      try change(at: event.location, available: event.quantityChange)
    case .transferred(let event):
      level = event.level
      try change(at: event.from, available: 0 &- event.quantity)
      try change(at: event.to, available: event.quantity)
    case .unavailable, .reservationBarred, .holdExtended, .holdSecured: break
    }
  }

  private mutating func apply(_ event: StockDeducted) throws {
    level = event.level
    try sold.add(event.quantity)
    if event.isFromReservation, let order = event.orderID {
      for sold in event.allocations {
        try change(at: sold.location, reserved: 0 &- sold.quantity)
      }
      try unhold(event.quantity, for: order)
    } else {
      for sold in event.allocations {
        try change(at: sold.location, available: 0 &- sold.quantity)
      }
    }
  }
}
