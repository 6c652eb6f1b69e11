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

  public func apply(
    _ event: Recorded, to row: UserSummaryRow?, id: String
  ) throws -> UserSummaryRow? {
    if event.stream.category == Customers.category {
      guard case .registered(let customer) = try Customers.decode(event) else { return row }
      var changed =
        row
        ?? UserSummaryRow(
          userID: customer.customerID, name: customer.name, email: customer.email)
      changed.name = customer.name
      changed.email = customer.email
      return changed
    }
    let order = try Orders.decode(event)
    if case .initiated(let order) = order {
      var changed =
        row ?? UserSummaryRow(userID: order.userID, name: order.userName, email: order.userEmail)
      try changed.initiate(order, at: event.timestamp)
      return changed
    }
    guard var changed = row else { return nil }
    switch order {
    case .confirmed(let order): try changed.tally.confirm(order.total)
    case .cancelled(let order):
      try changed.tally.cancel(order.total, wasConfirmed: order.wasConfirmed)
    case .initiated, .cancellationRequested: break
    }
    return changed
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
