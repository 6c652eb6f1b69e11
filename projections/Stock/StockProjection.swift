import Commerce
import EventSourcing

/// The stock of each product, with its name and price from the catalogue. A row begins with the
/// product, or with its first stock.
public struct StockProjection: Projection {
  /// Not ``StockUnavailable``: it moves no stock.
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

  public func apply(_ event: Recorded, to row: StockRow?, id: String) throws -> StockRow? {
    var changed = row
    if event.stream.category == Products.category {
      try Self.apply(try Products.decode(event), to: &changed, at: event.timestamp)
    } else {
      var stock = try row ?? StockRow(event.data.productID(), at: event.timestamp)
      try Self.apply(try Inventory.decode(event), to: &stock, at: event.timestamp)
      changed = stock
    }
    changed?.updatedAt = event.timestamp
    return changed
  }

  private static func apply(
    _ event: ProductEvent, to row: inout StockRow?, at time: Timestamp
  ) throws {
    switch event {
    case .added(let product):
      var changed = row ?? StockRow(product.productID, at: time)
      changed.productName = product.name
      changed.unitPrice = product.unitPrice
      row = changed
    case .priceChanged(let change): row?.unitPrice = change.unitPrice
    case .retired: row?.isRetired = true
    }
  }

  private static func apply(
    _ event: StockEvent, to row: inout StockRow, at time: Timestamp
  ) throws {
    switch event {
    case .restocked(let event):
      // The catalogue's name stays when there is one.
      row.productName =
        row.unitPrice == nil ? event.productName ?? row.productName : row.productName
      row.reorderLevel = event.reorderLevel
      row.lastRestockedAt = time
      row.level = event.level
      try row.change(at: event.location, available: event.quantity)
    case .reserved(let event):
      row.level = event.level
      for taken in event.allocations {
        try row.change(at: taken.location, available: 0 &- taken.quantity, reserved: taken.quantity)
      }
      try row.hold(event.quantity, for: event.orderID, at: time)
    case .released(let event):
      row.level = event.level
      for freed in event.allocations {
        try row.change(at: freed.location, available: freed.quantity, reserved: 0 &- freed.quantity)
      }
      try row.unhold(event.quantity, for: event.orderID)
    case .deducted(let event):
      try apply(event, to: &row)
    case .adjusted(let event):
      row.level = event.level
      try row.change(at: event.location, available: event.quantityChange)
    case .transferred(let event):
      row.level = event.level
      try row.change(at: event.from, available: 0 &- event.quantity)
      try row.change(at: event.to, available: event.quantity)
    case .unavailable: break
    }
  }

  private static func apply(_ event: StockDeducted, to row: inout StockRow) throws {
    row.level = event.level
    try row.sold.add(event.quantity)
    if event.isFromReservation, let order = event.orderID {
      for sold in event.allocations {
        try row.change(at: sold.location, reserved: 0 &- sold.quantity)
      }
      try row.unhold(event.quantity, for: order)
    } else {
      for sold in event.allocations {
        try row.change(at: sold.location, available: 0 &- sold.quantity)
      }
    }
  }
}
