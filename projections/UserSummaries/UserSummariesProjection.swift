import Commerce
import EventSourcing

/// What each customer has ordered and spent. A row begins with the customer's registration, or
/// with the first order.
public struct UserSummariesProjection: Projection {
  private static let orderTypes: Set<String> = [
    OrderInitiated.type, OrderConfirmed.type, OrderCancelled.type,
  ]
  private static let customerTypes: Set<String> = [CustomerRegistered.type]

  public init() {}

  public var name: String { "user_summaries" }
  public var consumes: EventSelection {
    EventSelection([
      Orders.category: Self.orderTypes, Customers.category: Self.customerTypes,
    ])
  }
  public var indexes: [ReadModelIndex] {
    [ReadModelIndex(.init("currency"), .init("spent_minor_units", isDescending: true))]
  }

  public func rows(touchedBy event: Recorded) throws -> [String] {
    let isOrder = event.stream.category == Orders.category
    return [try event.data.customerID(isOrder ? "user_id" : "customer_id").text]
  }

  public func apply(_ event: Recorded, to row: inout UserSummaryRow?, id: String) throws {
    if event.stream.category == Customers.category {
      guard case .registered(let customer) = try Customers.decode(event) else { return }
      if row == nil {
        row = UserSummaryRow(
          userID: customer.customerID, name: customer.name, email: customer.email)
      }
      row?.name = customer.name
      row?.email = customer.email
      return
    }
    switch try Orders.decode(event) {
    case .initiated(let order):
      if row == nil {
        row = UserSummaryRow(userID: order.userID, name: order.userName, email: order.userEmail)
      }
      try row?.initiate(order, at: event.timestamp)
    case .confirmed(let order): try row?.tally.confirm(order.total)
    case .cancelled(let order):
      try row?.tally.cancel(order.total, wasConfirmed: order.wasConfirmed)
    case .cancellationRequested: break
    }
  }
}

extension UserSummaryRow {
  fileprivate mutating func initiate(_ order: OrderInitiated, at time: Timestamp) throws {
    name = order.userName
    email = order.userEmail
    lastOrderAt = max(lastOrderAt ?? time, time)
    try tally.initiate(order.total)
    for item in order.items { try count(item) }
  }
}
