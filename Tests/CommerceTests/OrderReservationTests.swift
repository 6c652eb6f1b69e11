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
  ) -> CommandHandler<Inventory>.Decisions {
    Inventory.reserve(order: order, lines: lines, store: store, states: states)
  }

  @Test("all lines of an order are held, each in its product's stream")
  func reservesAll() {
    let decisions = reserve(
      [(Samples.coffee, 2), (Samples.donut, 3)],
      ["1": stock(Samples.coffee, 5), "2": stock(Samples.donut, 3)])
    #expect(decisions.map(\.id) == ["1", "2"])
    #expect(decisions.flatMap(\.events).map(\.type) == ["StockReserved", "StockReserved"])
  }

  @Test("one short line holds nothing, and says so in the stream of the short product alone")
  func reservesNothing() {
    let decisions = reserve(
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
  func sumsLines() {
    let states = ["1": stock(Samples.coffee, 5)]
    #expect(
      reserve([(Samples.coffee, 3), (Samples.coffee, 3)], states).flatMap(\.events).map(\.type)
        == ["StockUnavailable"])
    let decisions = reserve([(Samples.coffee, 3), (Samples.coffee, 2)], states)
    #expect(
      decisions.flatMap(\.events) == [
        .reserved(
          StockReserved(
            productID: Samples.coffee, orderID: order, quantity: 5,
            allocations: [Allocation(.depot, 5)], level: StockLevel(available: 0, reserved: 5)))
      ])
  }

  @Test("an order of a store is short when that store is, whatever the depot has")
  func looksAtStore() {
    let decisions = reserve([(Samples.coffee, 1)], store: 2, ["1": stock(Samples.coffee, 5)])
    #expect(decisions.flatMap(\.events).map(\.type) == ["StockUnavailable"])
  }

  @Test("an order that holds its lines already leaves no event")
  func reservesOnce() {
    var held = stock(Samples.coffee, 5)
    for event in reserve([(Samples.coffee, 2)], ["1": held]).flatMap(\.events) {
      Inventory.evolve(&held, event)
    }
    #expect(reserve([(Samples.coffee, 2)], ["1": held]).isEmpty)
  }

  @Test("the sum of absurd lines is short, not wrong")
  func survivesOverflow() {
    let decisions = reserve(
      [(Samples.coffee, .max), (Samples.coffee, .max)], ["1": stock(Samples.coffee, 5)])
    #expect(decisions.flatMap(\.events).map(\.type) == ["StockUnavailable"])
  }
}
