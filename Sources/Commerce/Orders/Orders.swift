import EventSourcing

public enum OrderCommand: Sendable, Hashable {
  case initiate(NewOrder)
  /// The customer's wish; ``cancel(reason:code:)`` follows when everything has been undone.
  case requestCancellation(reason: String)
  case confirm
  case cancel(reason: String, code: String)
}

public enum OrderRejection: Error, Sendable, Hashable {
  case unknown
  case alreadyInitiated
  case alreadyCancelled
  case noItems
  case quantityOutOfRange(ProductID)
  case currencyMismatch(expected: Currency, got: Currency)
  case totalOutOfRange
}

public enum OrderStatus: String, Sendable, Hashable, CaseIterable {
  case initiated, confirmed, cancelling, cancelled
}

/// An order to be placed, with what the catalogue and the customer's record said.
public struct NewOrder: Sendable, Hashable {
  public struct Line: Sendable, Hashable {
    public var productID: ProductID
    public var productName: String
    public var quantity: Int64
    public var unitPrice: Money

    public init(productID: ProductID, productName: String, quantity: Int64, unitPrice: Money) {
      self.productID = productID
      self.productName = productName
      self.quantity = quantity
      self.unitPrice = unitPrice
    }
  }

  public var orderID: OrderID
  public var customer: CustomerRegistered
  /// The same product may stand in several lines; they become one item.
  public var lines: [Line]
  public var paymentMethod: String
  public var saga: String
  public var storeID: Int64?
  public var shippingAddress: ShippingAddress?
  public var initiatedAt: Timestamp

  public init(
    orderID: OrderID, customer: CustomerRegistered, lines: [Line], paymentMethod: String = "card",
    saga: String = "orchestrated", storeID: Int64? = nil, shippingAddress: ShippingAddress? = nil,
    initiatedAt: Timestamp
  ) {
    self.orderID = orderID
    self.customer = customer
    self.lines = lines
    self.paymentMethod = paymentMethod
    self.saga = saga
    self.storeID = storeID
    self.shippingAddress = shippingAddress
    self.initiatedAt = initiatedAt
  }
}

public struct Order: Sendable, Hashable {
  /// Nil while the order is unknown.
  public var initiated: OrderInitiated?
  /// Nil while the order is unknown.
  public var status: OrderStatus?
  /// Stays true when the order is cancelled after its confirmation.
  public var wasConfirmed = false
  /// The lines that its confirmation named: empty before, and when it named none.
  public var sold: [OrderItem] = []
}

public enum Orders: Decider {
  public typealias State = Order
  public typealias Command = OrderCommand
  public typealias Event = OrderEvent
  public typealias Rejection = OrderRejection

  public static let itemsMax = 100
  public static let quantityRange: ClosedRange<Int64> = 1...1_000_000

  public static let upcasters = [OrderConfirmed.fromSchema1, OrderCancelled.fromSchema1]

  public static var category: String { "orders" }
  public static var initial: Order { Order() }

  public static func decide(
    _ command: OrderCommand, _ state: Order
  ) throws(OrderRejection) -> [OrderEvent] {
    if case .initiate(let order) = command {
      guard let existing = state.initiated else { return [.initiated(try initiate(order))] }
      guard existing == (try initiate(order)) else { throw .alreadyInitiated }
      return []
    }
    guard let order = state.initiated, let status = state.status else { throw .unknown }
    switch command {
    case .initiate: return []
    case .requestCancellation(let reason): return requestCancellation(of: order, status, reason)
    case .confirm: return try confirm(order, status, wasConfirmed: state.wasConfirmed)
    case .cancel(let reason, let code):
      if status == .cancelled { return [] }
      return [
        .cancelled(
          OrderCancelled(
            orderID: order.orderID, userID: order.userID, items: state.sold, total: order.total,
            initiatedAt: order.initiatedAt, reason: reason, code: code,
            wasConfirmed: state.wasConfirmed))
      ]
    }
  }

  public static func evolve(_ state: inout Order, _ event: OrderEvent) {
    switch event {
    case .initiated(let order):
      state.initiated = order
      state.status = .initiated
    case .cancellationRequested: state.status = .cancelling
    case .confirmed(let order):
      state.wasConfirmed = true
      state.sold = order.items
      // A cancellation that was asked for before goes on: the saga undoes what it finds done.
      if state.status == .initiated { state.status = .confirmed }
    case .cancelled: state.status = .cancelled
    }
  }

  private static func initiate(_ order: NewOrder) throws(OrderRejection) -> OrderInitiated {
    guard let currency = order.lines.first?.unitPrice.currency else { throw .noItems }
    let items = try items(of: order.lines)
    var total = Money.zero(currency)
    do {
      for item in items { total = try total.adding(item.lineTotal) }
    } catch {
      throw rejection(for: error)
    }
    return OrderInitiated(
      orderID: order.orderID, userID: order.customer.customerID, userName: order.customer.name,
      userEmail: order.customer.email, items: items, total: total,
      paymentMethod: order.paymentMethod, saga: order.saga, storeID: order.storeID,
      shippingAddress: order.shippingAddress, initiatedAt: order.initiatedAt)
  }

  /// One item for each product, in the order of their first lines.
  private static func items(of lines: [NewOrder.Line]) throws(OrderRejection) -> [OrderItem] {
    var items: [OrderItem] = []
    items.reserveCapacity(lines.count)
    for line in lines {
      guard quantityRange.contains(line.quantity) else {
        throw .quantityOutOfRange(line.productID)
      }
      var quantity = line.quantity
      let index = items.firstIndex { $0.productID == line.productID }
      if let index { quantity += items[index].quantity }
      guard quantityRange.contains(quantity) else { throw .quantityOutOfRange(line.productID) }
      let lineTotal: Money
      do {
        lineTotal = try line.unitPrice.multiplied(by: quantity)
      } catch {
        throw rejection(for: error)
      }
      let item = OrderItem(
        productID: line.productID, productName: line.productName, quantity: quantity,
        unitPrice: line.unitPrice, lineTotal: lineTotal)
      if let index { items[index] = item } else { items.append(item) }
    }
    return items
  }

  private static func rejection(for error: MoneyError) -> OrderRejection {
    switch error {
    case .currencyMismatch(let expected, let got):
      .currencyMismatch(expected: expected, got: got)
    case .outOfRange, .tooManyFractionDigits: .totalOutOfRange
    }
  }

  private static func requestCancellation(
    of order: OrderInitiated, _ status: OrderStatus, _ reason: String
  ) -> [OrderEvent] {
    switch status {
    case .initiated, .confirmed:
      [
        .cancellationRequested(
          OrderCancellationRequested(
            orderID: order.orderID, userID: order.userID, reason: reason))
      ]
    case .cancelling, .cancelled: []
    }
  }

  private static func confirm(
    _ order: OrderInitiated, _ status: OrderStatus, wasConfirmed: Bool
  ) throws(OrderRejection) -> [OrderEvent] {
    if status == .cancelled { throw .alreadyCancelled }
    if wasConfirmed { return [] }
    return [
      .confirmed(
        OrderConfirmed(
          orderID: order.orderID, userID: order.userID, items: order.items, total: order.total,
          initiatedAt: order.initiatedAt))
    ]
  }
}
