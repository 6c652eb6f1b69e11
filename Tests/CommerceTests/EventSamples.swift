import Commerce
import EventSourcing

/// Events of every type, with all of their optional keys and without any: what the files in
/// `RecordedEvents` are compared with. The names are theirs.
///
/// The events of an aggregate are in an order in which they can be folded.
enum EventSamples {
  private static let id = Samples.orderID
  private static let third = OrderID(CommandID(derivedFrom: "third order"))
  private static let fourth = OrderID(CommandID(derivedFrom: "fourth order"))
  private static let user = Samples.ada.customerID
  private static let level = StockLevel(available: 8, reserved: 2)

  private static let toStore: OrderInitiated = {
    var order = Samples.initiated
    order.storeID = 2
    order.shippingAddress = ShippingAddress(
      street: "1 Main", city: "Montr\u{E9}al", postalCode: "H2X")
    return order
  }()

  private static func confirmed(_ items: [OrderItem]) -> OrderEvent {
    .confirmed(
      OrderConfirmed(
        orderID: id, userID: user, items: items, total: Samples.cad(398), initiatedAt: Samples.now))
  }

  static let orders: [(name: String, event: OrderEvent)] = [
    ("an order", .initiated(Samples.initiated)),
    ("an order for a store, with an address", .initiated(toStore)),
    ("a confirmation that names no lines", confirmed([])),
    ("a confirmation", confirmed(Samples.initiated.items)),
    (
      "a wish to cancel",
      .cancellationRequested(
        OrderCancellationRequested(orderID: id, userID: user, reason: "changed my mind"))
    ),
    (
      "a cancellation",
      .cancelled(
        OrderCancelled(
          orderID: id, userID: user, items: [], total: Samples.cad(398), initiatedAt: Samples.now,
          reason: "no stock", code: "OUT_OF_STOCK", wasConfirmed: false))
    ),
    (
      "a cancellation of what was sold",
      .cancelled(
        OrderCancelled(
          orderID: id, userID: user, items: Samples.initiated.items, total: Samples.cad(398),
          initiatedAt: Samples.now, reason: "changed my mind", code: "CUSTOMER_REQUEST",
          wasConfirmed: true))
    ),
  ]

  static let inventory: [(name: String, event: StockEvent)] = [
    (
      "pieces without a name",
      .restocked(
        StockRestocked(
          productID: Samples.coffee, quantity: 10, location: .depot,
          level: StockLevel(available: 10, reserved: 0), reorderLevel: 10))
    ),
    (
      "pieces for a store",
      .restocked(
        StockRestocked(
          productID: Samples.coffee, productName: "Coffee", quantity: 5, location: .store(2),
          level: StockLevel(available: 15, reserved: 0), reorderLevel: 3))
    ),
    (
      "a reservation",
      .reserved(
        StockReserved(
          productID: Samples.coffee, orderID: id, quantity: 7,
          allocations: [Allocation(.depot, 6), Allocation(.store(2), 1)], level: level))
    ),
    (
      "a reservation of another order",
      .reserved(
        StockReserved(
          productID: Samples.coffee, orderID: Samples.otherOrderID, quantity: 1,
          allocations: [Allocation(.store(2), 1)], level: level))
    ),
    (
      "a reservation until a moment",
      .reserved(
        StockReserved(
          productID: Samples.coffee, orderID: third, quantity: 1,
          allocations: [Allocation(.store(2), 1)], expiresAt: Samples.now, level: level))
    ),
    (
      "a reservation without an end",
      .reserved(
        StockReserved(
          productID: Samples.coffee, orderID: fourth, quantity: 1,
          allocations: [Allocation(.store(2), 1)], level: level))
    ),
    (
      "a hold that lasts longer",
      .holdExtended(
        StockHoldExtended(
          productID: Samples.coffee, orderID: third, expiresAt: Samples.now.adding(seconds: 60)))
    ),
    (
      "a hold that was secured",
      .holdSecured(StockHoldSecured(productID: Samples.coffee, orderID: fourth))
    ),
    (
      "too little stock",
      .unavailable(
        StockUnavailable(
          productID: Samples.coffee, orderID: id, requestedQuantity: 99, availableQuantity: 8,
          reason: "insufficient stock"))
    ),
    (
      "a release",
      .released(
        StockReleased(
          productID: Samples.coffee, orderID: id, quantity: 3,
          allocations: [Allocation(.depot, 3)], reason: "cancelled", level: level))
    ),
    (
      "a tombstone",
      .reservationBarred(
        StockReservationBarred(
          productID: Samples.coffee, orderID: OrderID(CommandID(derivedFrom: "undone first")),
          reason: "cancelled"))
    ),
    (
      "a sale of what was reserved",
      .deducted(
        StockDeducted(
          productID: Samples.coffee, orderID: id, quantity: 2,
          allocations: [Allocation(.depot, 2)], isFromReservation: true, level: level))
    ),
    (
      "a sale of free pieces",
      .deducted(
        StockDeducted(
          productID: Samples.coffee, quantity: 1, allocations: [Allocation(.depot, 1)],
          isFromReservation: false, level: level))
    ),
    (
      "a count",
      .adjusted(
        StockAdjusted(
          productID: Samples.coffee, location: .depot, quantityChange: -2, reason: "broken",
          level: level))
    ),
    (
      "a transfer",
      .transferred(
        StockTransferred(
          productID: Samples.coffee, from: .depot, to: .store(3), quantity: 2, level: level))
    ),
  ]

  static let payments: [(name: String, event: PaymentEvent)] = [
    ("a payment", .initiated(Samples.payment)),
    (
      "a failed payment",
      .failed(
        PaymentFailed(
          orderID: id, amount: Samples.cad(398), errorCode: "PAYMENT_UNAVAILABLE",
          failureReason: "no answer", possiblyCharged: true))
    ),
    (
      "a processed payment",
      .processed(
        PaymentProcessed(
          orderID: id, amount: Samples.cad(398), paymentMethod: "card", transactionID: "txn_1"))
    ),
    (
      "a wish for a refund",
      .refundRequested(
        PaymentRefundRequested(
          orderID: id, amount: Samples.cad(398), effectID: "\(id)/pay/undo/1", reason: "cancelled"))
    ),
    (
      "a refund",
      .refunded(PaymentRefunded(orderID: id, amount: Samples.cad(398), refundID: "refund_1"))
    ),
    ("a voided payment", .voided(PaymentVoided(orderID: id))),
  ]

  static let products: [(name: String, event: ProductEvent)] = [
    ("a product", .added(Samples.product())),
    (
      "a product with a category and a description",
      .added(
        ProductAdded(
          productID: Samples.coffee, name: "Coffee", sku: "SKU-1", category: "drinks",
          description: "Hot.", unitPrice: Samples.cad(199)))
    ),
    (
      "a price",
      .priceChanged(
        ProductPriceChanged(productID: Samples.coffee, unitPrice: Samples.cad(249)))
    ),
    ("a retired product", .retired(ProductRetired(productID: Samples.coffee))),
  ]

  static let customers: [(name: String, event: CustomerEvent)] = [
    ("a customer", .registered(Samples.ada))
  ]

  static let notifications: [(name: String, event: NotificationEvent)] = [
    (
      "a message",
      .requested(
        NotificationRequested(
          orderID: id, userID: user, recipient: "ada@example.org", subject: "Your order"))
    ),
    (
      "a message that was sent",
      .sent(
        NotificationSent(
          orderID: id, recipient: "ada@example.org", kind: "order_confirmed", channel: "log",
          messageID: "message_1"))
    ),
    (
      "a message that was not",
      .failed(
        NotificationFailed(
          orderID: id, recipient: "ada@example.org", kind: "order_confirmed", channel: "log",
          reason: "no such address"))
    ),
  ]
}
