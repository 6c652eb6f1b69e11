import Commerce
import EventSourcing

@testable import Projections

/// What each product sold on each day. A sale counts on the day (UTC) that its order was placed on,
/// as in the statistics of orders, and no longer counts when the order is cancelled.
struct SalesByProductProjection: Projection {
  var name: String { "sales_by_product" }
  var version: Int { 1 }
  var consumes: EventSelection {
    EventSelection([Orders.category: [OrderConfirmed.type, OrderCancelled.type]])
  }
  var indexes: [ReadModelIndex] {
    [
      ReadModelIndex(.init("product_id"), .init("date")),
      ReadModelIndex(.init("date"), .init("quantity", isDescending: true)),
    ]
  }

  func rows(touchedBy event: Recorded) throws -> [String] {
    switch try Orders.decode(event) {
    case .confirmed(let order): ids(of: order.items, on: order.initiatedAt.day)
    case .cancelled(let order): ids(of: order.items, on: order.initiatedAt.day)
    case .initiated, .cancellationRequested: []
    }
  }

  private func ids(of items: [OrderItem], on day: String) -> [String] {
    items.map { SalesByProductRow.id(of: $0.productID, on: day) }
  }

  func apply(_ event: Recorded, to row: inout SalesByProductRow?, id: String) throws {
    switch try Orders.decode(event) {
    case .confirmed(let order):
      let day = order.initiatedAt.day
      for item in order.items where SalesByProductRow.id(of: item.productID, on: day) == id {
        if row == nil { row = SalesByProductRow(item, on: day, at: event.timestamp) }
        try row?.sell(item)
      }
    case .cancelled(let order):
      let day = order.initiatedAt.day
      for item in order.items where SalesByProductRow.id(of: item.productID, on: day) == id {
        try row?.takeBack(item)
      }
    case .initiated, .cancellationRequested: return
    }
    row?.updatedAt = event.timestamp
  }
}
