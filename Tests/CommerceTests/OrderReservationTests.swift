import Commerce
import EventSourcing
import Testing

@Suite struct OrderReservationTests {
  private let order = Samples.orderID

  private func stock(_ product: ProductID, _ quantity: Int64, at location: Location = .depot)
    -> Stock
  {
    Inventory.state(after: [
      .restocked(
        StockRestocked(
          productID: product, quantity: quantity, location: location,
          level: StockLevel(available: quantity, reserved: 0), reorderLevel: 10))
    ])
  }

  private func reserve(
    _ lines: [OrderLine], store: Int64? = nil, _ states: [String: Stock]
  ) throws(StockRejection) -> CommandHandler<Inventory>.Decisions {
    try Inventory.reserve(order: order, lines: lines, store: store, states: states)
  }

  @Test("all lines of an order are held, each in its product's stream")
  func reservesAll() throws {
    let decisions = try reserve(
      [(Samples.coffee, 2), (Samples.donut, 3)],
      ["1": stock(Samples.coffee, 5), "2": stock(Samples.donut, 3)])
    #expect(decisions.map(\.id) == ["1", "2"])
    #expect(decisions.flatMap(\.events).map(\.type) == ["StockReserved", "StockReserved"])
  }

  @Test("one short line holds nothing, and says so in the stream of the short product alone")
  func reservesNothing() throws {
    let decisions = try reserve(
      [(Samples.coffee, 2), (Samples.donut, 4), (ProductID(3), 1)],
      ["1": stock(Samples.coffee, 5), "2": stock(Samples.donut, 3)])
    #expect(decisions.map(\.id) == ["2", "3"])
    #expect(
      decisions.flatMap(\.events) == [
        .unavailable(
          StockUnavailable(
            productID: Samples.donut, orderID: order, requestedQuantity: 4,
            availableQuantity: 3, reason: "insufficient stock")),
        .unavailable(
          StockUnavailable(
            productID: ProductID(3), orderID: order, requestedQuantity: 1,
            availableQuantity: 0, reason: "insufficient stock")),
      ])
  }

  @Test("the same product in two lines is summed before it is looked for")
  func sumsLines() throws {
    let states = ["1": stock(Samples.coffee, 5)]
    #expect(
      try reserve([(Samples.coffee, 3), (Samples.coffee, 3)], states).flatMap(\.events).map(\.type)
        == ["StockUnavailable"])
    let decisions = try reserve([(Samples.coffee, 3), (Samples.coffee, 2)], states)
    #expect(
      decisions.flatMap(\.events) == [
        .reserved(
          StockReserved(
            productID: Samples.coffee, orderID: order, quantity: 5,
            allocations: [Allocation(.depot, 5)], level: StockLevel(available: 0, reserved: 5)))
      ])
  }

  @Test("an order of a store is short when that store is, whatever the depot has")
  func looksAtStore() throws {
    let decisions = try reserve([(Samples.coffee, 1)], store: 2, ["1": stock(Samples.coffee, 5)])
    #expect(decisions.flatMap(\.events).map(\.type) == ["StockUnavailable"])
  }

  @Test("an order that holds its lines already leaves no event")
  func reservesOnce() throws {
    var held = stock(Samples.coffee, 5)
    for event in try reserve([(Samples.coffee, 2)], ["1": held]).flatMap(\.events) {
      Inventory.evolve(&held, event)
    }
    #expect(try reserve([(Samples.coffee, 2)], ["1": held]).isEmpty)
  }

  @Test("the sum of absurd lines is short, not wrong")
  func survivesOverflow() throws {
    let decisions = try reserve(
      [(Samples.coffee, .max), (Samples.coffee, .max)], ["1": stock(Samples.coffee, 5)])
    #expect(decisions.flatMap(\.events).map(\.type) == ["StockUnavailable"])
  }

  @Test("an order that is barred in one of its products is refused, and holds no other")
  func refusesBarred() throws {
    var donuts = stock(Samples.donut, 3)
    Inventory.evolve(&donuts, barred(Samples.donut))
    let states = ["1": stock(Samples.coffee, 5), "2": donuts]
    #expect(throws: StockRejection.barred(order)) {
      try reserve([(Samples.coffee, 1), (Samples.donut, 1)], states)
    }
    #expect(throws: StockRejection.barred(order)) {
      try reserve([(Samples.coffee, 99), (Samples.donut, 1)], states)
    }
    #expect(try reserve([(Samples.coffee, 1)], states).count == 1)
  }

  @Test("an undo frees what is held and bars the rest, also of products that never had stock; once")
  func releasesAndBars() throws {
    var coffee = stock(Samples.coffee, 5)
    let held = try reserve([(Samples.coffee, 2)], ["1": coffee])
    for event in held.flatMap(\.events) { Inventory.evolve(&coffee, event) }
    let products = [Samples.coffee, Samples.donut, Samples.donut]
    let decisions = try Inventory.release(
      order: order, products: products, reason: "no", barring: true, states: ["1": coffee])
    #expect(decisions.map(\.id) == ["1", "2"])
    #expect(decisions.first?.events.map(\.type) == ["StockReleased"])
    #expect(decisions.last?.events == [barred(Samples.donut)])

    var donuts = Inventory.initial
    for event in decisions.last?.events ?? [] { Inventory.evolve(&donuts, event) }
    for event in decisions.first?.events ?? [] { Inventory.evolve(&coffee, event) }
    let again = try Inventory.release(
      order: order, products: products, reason: "no", barring: true,
      states: ["1": coffee, "2": donuts])
    // The coffee is held no more: from now on it is barred as well.
    #expect(again.flatMap(\.events) == [barred(Samples.coffee)])
  }

  private func barred(_ product: ProductID) -> StockEvent {
    .reservationBarred(StockReservationBarred(productID: product, orderID: order, reason: "no"))
  }
}
