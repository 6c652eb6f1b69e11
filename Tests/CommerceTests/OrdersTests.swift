import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@Suite struct OrdersTests {
  private let initiated = OrderEvent.initiated(Samples.initiated)
  private let requested = OrderEvent.cancellationRequested(
    OrderCancellationRequested(
      orderID: Samples.orderID, userID: Samples.ada.customerID, reason: "changed my mind"))
  private let confirmed = OrderEvent.confirmed(
    OrderConfirmed(
      orderID: Samples.orderID, userID: Samples.ada.customerID, items: Samples.initiated.items,
      total: Samples.cad(398), initiatedAt: Samples.now))

  private func cancelled(wasConfirmed: Bool = false) -> OrderEvent {
    .cancelled(
      OrderCancelled(
        orderID: Samples.orderID, userID: Samples.ada.customerID,
        items: wasConfirmed ? Samples.initiated.items : [], total: Samples.cad(398),
        initiatedAt: Samples.now, reason: "no stock", code: "OUT_OF_STOCK",
        wasConfirmed: wasConfirmed))
  }

  private let cancel = OrderCommand.cancel(reason: "no stock", code: "OUT_OF_STOCK")
  private let request = OrderCommand.requestCancellation(reason: "changed my mind")

  @Test("an order is initiated with its lines priced and summed")
  func initiates() throws {
    try given(Orders.self).when(.initiate(Samples.newOrder())).then(initiated)
  }

  @Test("the store and the address of an order are kept")
  func keepsDestination() throws {
    var order = Samples.newOrder()
    order.storeID = 3
    order.shippingAddress = ShippingAddress(
      street: "1 Main", city: "Montréal", postalCode: "H2X")
    var expected = Samples.initiated
    expected.storeID = 3
    expected.shippingAddress = order.shippingAddress
    try given(Orders.self).when(.initiate(order)).then(.initiated(expected))
  }

  @Test("the same product in two lines becomes one item")
  func sumsLines() throws {
    let lines = [
      Samples.line(quantity: 2),
      Samples.line(Samples.donut, name: "Donut", price: Samples.cad(125)),
      Samples.line(quantity: 3),
    ]
    let decision = given(Orders.self).when(.initiate(Samples.newOrder(lines)))
    guard case .initiated(let order) = try #require(try decision.events().first) else {
      Issue.record("not initiated")
      return
    }
    #expect(order.items.map(\.quantity) == [5, 2])
    #expect(order.items.map(\.lineTotal) == [Samples.cad(995), Samples.cad(250)])
    #expect(order.total == Samples.cad(1245))
  }

  @Test("initiating an order again does nothing; another order of the same id is refused")
  func initiatesOnce() throws {
    try given(Orders.self, initiated).when(.initiate(Samples.newOrder())).thenNothing()
    try given(Orders.self, initiated)
      .when(.initiate(Samples.newOrder([Samples.line(quantity: 3)])))
      .thenRejected(.alreadyInitiated)
  }

  @Test("an order without lines is refused")
  func refusesEmpty() throws {
    try given(Orders.self).when(.initiate(Samples.newOrder([]))).thenRejected(.noItems)
  }

  @Test("quantities are from 1 to 1000000, also when summed", arguments: [0, -1, 1_000_001])
  func refusesQuantities(quantity: Int64) throws {
    try given(Orders.self)
      .when(.initiate(Samples.newOrder([Samples.line(quantity: quantity)])))
      .thenRejected(.quantityOutOfRange(Samples.coffee))
    try given(Orders.self)
      .when(
        .initiate(
          Samples.newOrder([Samples.line(quantity: 1_000_000), Samples.line(quantity: 1)]))
      )
      .thenRejected(.quantityOutOfRange(Samples.coffee))
  }

  @Test("an order has one currency")
  func refusesMixedCurrencies() throws {
    let yen = Samples.line(
      Samples.donut, price: Money(minorUnits: 100, currency: .jpy))
    try given(Orders.self).when(.initiate(Samples.newOrder([Samples.line(), yen])))
      .thenRejected(.currencyMismatch(expected: .cad, got: .jpy))
  }

  @Test("a total that does not fit is refused, in one line and over all")
  func refusesOverflow() throws {
    let most = Samples.cad(.max)
    try given(Orders.self)
      .when(.initiate(Samples.newOrder([Samples.line(quantity: 2, price: most)])))
      .thenRejected(.totalOutOfRange)
    let one = Samples.line(quantity: 1, price: most)
    let two = Samples.line(Samples.donut, quantity: 1, price: most)
    try given(Orders.self).when(.initiate(Samples.newOrder([one, two])))
      .thenRejected(.totalOutOfRange)
  }

  @Test("an initiated order is confirmed, once")
  func confirms() throws {
    let decision = given(Orders.self, initiated).when(.confirm)
    try decision.then(confirmed)
    #expect(decision.state.status == .confirmed)
    try given(Orders.self, initiated, confirmed).when(.confirm).thenNothing()
  }

  @Test("an order that is being cancelled is still confirmed, and stays cancelling")
  func confirmsWhileCancelling() throws {
    let decision = given(Orders.self, initiated, requested).when(.confirm)
    try decision.then(confirmed)
    #expect(decision.state.status == .cancelling)
    try given(Orders.self, initiated, requested, confirmed).when(.confirm).thenNothing()
  }

  @Test("a cancelled order refuses confirmation")
  func refusesConfirmation() throws {
    try given(Orders.self, initiated, cancelled()).when(.confirm)
      .thenRejected(.alreadyCancelled)
  }

  @Test("the customer may ask for cancellation before and after confirmation")
  func requestsCancellation() throws {
    let early = given(Orders.self, initiated).when(request)
    try early.then(requested)
    #expect(early.state.status == .cancelling)
    let late = given(Orders.self, initiated, confirmed).when(request)
    try late.then(requested)
    #expect(late.state.status == .cancelling)
    try given(Orders.self, initiated, confirmed, requested).when(.confirm).thenNothing()
  }

  @Test("asking for cancellation twice is the same as once")
  func requestsOnce() throws {
    try given(Orders.self, initiated, requested).when(request).thenNothing()
    try given(Orders.self, initiated, cancelled()).when(request).thenNothing()
  }

  @Test("an order is cancelled from every status, once")
  func cancels() throws {
    try given(Orders.self, initiated).when(cancel).then(cancelled())
    try given(Orders.self, initiated, requested).when(cancel).then(cancelled())
    let late = given(Orders.self, initiated, confirmed, requested).when(cancel)
    try late.then(cancelled(wasConfirmed: true))
    #expect(late.state.status == .cancelled)
    try given(Orders.self, initiated, cancelled()).when(cancel).thenNothing()
  }

  @Test("an unknown order refuses everything", arguments: [0, 1, 2])
  func refusesUnknown(index: Int) throws {
    try given(Orders.self).when([request, .confirm, cancel][index]).thenRejected(.unknown)
  }
}
