import Commerce
import EventSourcing

@testable import Projections

/// A log written commit by commit, a second apart, and folded in memory.
final class History {
  static let start = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000)  // 2026-01-01
  static let order = orderID(1)

  let log = InMemoryLog()
  private(set) var now = History.start
  /// Whether commits carry the mark of a choreographed order.
  var isChoreographed = false
  private var commits = 0

  static func orderID(_ number: Int) -> OrderID {
    OrderID(CommandID(derivedFrom: "test order \(number)"))
  }

  /// Moves the clock on.
  func wait(days: Int64) { now = now.adding(seconds: days * 86_400) }

  /// Appends one commit; answers its events as they were recorded.
  @discardableResult
  func append(_ events: [ProposedEvent]) async throws -> [Recorded] {
    commits += 1
    now = now.adding(seconds: 1)
    let appended = try await log.append(
      ProposedCommit(
        context: CommitContext(
          commandID: CommandID(derivedFrom: "commit \(commits)"), timestamp: now,
          serviceName: "test", metadata: isChoreographed ? ["saga": "choreographed"] : [:]),
        events: events))
    return appended.commit.events
  }

  @discardableResult
  func append(_ event: ProposedEvent) async throws -> [Recorded] { try await append([event]) }

  /// The rows that the whole log makes.
  func rows<P: Projection>(of projection: P) async throws -> [String: P.Row] {
    var rows: [String: P.Row] = [:]
    for commit in try await log.read(after: .start, limit: 1_000_000) {
      for event in commit.events where projection.consumes.takes(event) {
        for id in try projection.rows(touchedBy: event) {
          try projection.apply(event, to: &rows[id], id: id)
        }
      }
    }
    return rows
  }

  func row<P: Projection>(_ id: String, of projection: P) async throws -> P.Row? {
    try await rows(of: projection)[id]
  }
}

extension ProposedEvent {
  static func order(_ event: OrderEvent, _ order: OrderID = History.order) -> ProposedEvent {
    ProposedEvent(event, in: Orders.stream(order.text))
  }

  static func payment(_ event: PaymentEvent, _ order: OrderID = History.order) -> ProposedEvent {
    ProposedEvent(event, in: Payments.stream(order.paymentID.text))
  }

  static func stock(_ product: Int64, _ event: StockEvent) -> ProposedEvent {
    ProposedEvent(event, in: Inventory.stream(String(product)))
  }

  static func product(_ product: Int64, _ event: ProductEvent) -> ProposedEvent {
    ProposedEvent(event, in: Products.stream(String(product)))
  }

  static func initiated(
    _ order: OrderID = History.order, user: Int64 = 7,
    items: [(product: Int64, quantity: Int64)] = [(1, 2), (2, 1)], price: Int64 = 1050,
    currency: Currency = .cad, store: Int64? = nil, address: ShippingAddress? = nil,
    at time: Timestamp = History.start
  ) -> ProposedEvent {
    let lines = lines(items, price: price, currency: currency)
    return .order(
      .initiated(
        OrderInitiated(
          orderID: order, userID: CustomerID(user), userName: "User \(user)",
          userEmail: "user\(user)@example.com", items: lines,
          total: Money(
            minorUnits: lines.reduce(0) { $0 + $1.lineTotal.minorUnits }, currency: currency),
          paymentMethod: "card", storeID: store, shippingAddress: address, initiatedAt: time)),
      order)
  }

  static func lines(
    _ items: [(product: Int64, quantity: Int64)], price: Int64 = 1050, currency: Currency = .cad
  ) -> [OrderItem] {
    items.map { item in
      OrderItem(
        productID: ProductID(item.product), productName: "Product \(item.product)",
        quantity: item.quantity, unitPrice: Money(minorUnits: price, currency: currency),
        lineTotal: Money(minorUnits: price * item.quantity, currency: currency))
    }
  }

  static func confirmed(
    _ order: OrderID = History.order, user: Int64 = 7, items: [OrderItem] = [],
    total: Int64 = 3150, currency: Currency = .cad, initiatedAt: Timestamp = History.start
  ) -> ProposedEvent {
    .order(
      .confirmed(
        OrderConfirmed(
          orderID: order, userID: CustomerID(user), items: items,
          total: Money(minorUnits: total, currency: currency), initiatedAt: initiatedAt)),
      order)
  }

  static func cancelled(
    _ order: OrderID = History.order, user: Int64 = 7, items: [OrderItem] = [],
    total: Int64 = 3150, currency: Currency = .cad, initiatedAt: Timestamp = History.start,
    reason: String = "changed my mind", code: String = "CUSTOMER_REQUEST",
    wasConfirmed: Bool = false
  ) -> ProposedEvent {
    .order(
      .cancelled(
        OrderCancelled(
          orderID: order, userID: CustomerID(user), items: items,
          total: Money(minorUnits: total, currency: currency), initiatedAt: initiatedAt,
          reason: reason, code: code, wasConfirmed: wasConfirmed)),
      order)
  }

  static func reserved(
    _ product: Int64, _ quantity: Int64, for order: OrderID = History.order,
    at places: [(Location, Int64)]? = nil, available: Int64 = 0, reserved: Int64 = 0
  ) -> ProposedEvent {
    .stock(
      product,
      .reserved(
        StockReserved(
          productID: ProductID(product), orderID: order, quantity: quantity,
          allocations: (places ?? [(.depot, quantity)]).map { Allocation($0.0, $0.1) },
          level: StockLevel(available: available, reserved: reserved))))
  }

  static func released(
    _ product: Int64, _ quantity: Int64, for order: OrderID = History.order,
    at places: [(Location, Int64)]? = nil, available: Int64 = 0, reserved: Int64 = 0
  ) -> ProposedEvent {
    .stock(
      product,
      .released(
        StockReleased(
          productID: ProductID(product), orderID: order, quantity: quantity,
          allocations: (places ?? [(.depot, quantity)]).map { Allocation($0.0, $0.1) },
          reason: "test", level: StockLevel(available: available, reserved: reserved))))
  }

  static func paymentInitiated(_ order: OrderID = History.order, amount: Int64 = 3150)
    -> ProposedEvent
  {
    .payment(
      .initiated(
        PaymentInitiated(
          orderID: order, userID: CustomerID(7),
          amount: Money(minorUnits: amount, currency: .cad), paymentMethod: "card",
          effectID: "\(order)/pay/forward/1", deadline: History.start.adding(seconds: 60))),
      order)
  }

  static func paymentProcessed(_ order: OrderID = History.order, amount: Int64 = 3150)
    -> ProposedEvent
  {
    .payment(
      .processed(
        PaymentProcessed(
          orderID: order, amount: Money(minorUnits: amount, currency: .cad),
          paymentMethod: "card", transactionID: "txn_1")),
      order)
  }

  static func paymentFailed(_ order: OrderID = History.order) -> ProposedEvent {
    .payment(
      .failed(
        PaymentFailed(
          orderID: order, amount: Money(minorUnits: 3150, currency: .cad),
          errorCode: "CARD_DECLINED", failureReason: "the card was declined",
          possiblyCharged: false)),
      order)
  }

  static func notificationSent(_ order: OrderID = History.order) -> ProposedEvent {
    ProposedEvent(
      stream: Notifications.stream(order.notificationID.text), type: "NotificationSent",
      data: [
        "notification_id": .string(order.notificationID.text), "order_id": .string(order.text),
        "recipient": "user7@example.com", "type": "order_confirmed", "channel": "log",
        "status": "sent", "message_id": "message_1",
      ])
  }

  static func saga(
    _ type: String, _ state: String, of order: OrderID = History.order,
    finished: (step: String, direction: String, outcome: String)? = nil,
    commands: [(step: String, direction: String)] = [],
    failure: (code: String, reason: String)? = nil
  ) -> ProposedEvent {
    var data: Fields = [
      "saga_id": .string(order.sagaID), "order_id": .string(order.text),
      "definition": "order-fulfilment.v1", "state": .string(state),
      "input": ["type": "SomeInput"],
    ]
    data["finished"] = finished.map {
      [
        "step": .string($0.step), "direction": .string($0.direction),
        "outcome": .string($0.outcome),
      ]
    }
    data["commands"] = .array(
      commands.map { step, direction in
        [
          "effect_id": .string("\(order)/\(step)/\(direction)/1"), "name": "SomeCommand",
          "payload": [:],
        ]
      })
    data["code"] = failure.map { .string($0.code) }
    data["reason"] = failure.map { .string($0.reason) }
    return ProposedEvent(
      stream: StreamName(category: "sagas", id: order.sagaID), type: type, data: data)
  }
}
