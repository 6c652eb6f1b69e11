import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@Suite struct InventoryTests {
  private static let coffee = Samples.coffee
  private let order = Samples.orderID

  private func restocked(
    _ quantity: Int64, at location: Location = .depot, available: Int64, reserved: Int64 = 0,
    reorderLevel: Int64 = 10
  ) -> StockEvent {
    .restocked(
      StockRestocked(
        productID: Self.coffee, productName: "Coffee", quantity: quantity, location: location,
        level: StockLevel(available: available, reserved: reserved), reorderLevel: reorderLevel))
  }

  /// 5 in the depot, 3 in store 1, 4 in store 2.
  private var spread: [StockEvent] {
    [
      restocked(4, at: .store(2), available: 4), restocked(5, available: 9),
      restocked(3, at: .store(1), available: 12),
    ]
  }

  private func reserved(
    _ allocations: [Allocation], available: Int64, reserved: Int64
  ) -> StockEvent {
    .reserved(
      StockReserved(
        productID: Self.coffee, orderID: order,
        quantity: allocations.reduce(0) { $0 + $1.quantity }, allocations: allocations,
        level: StockLevel(available: available, reserved: reserved)))
  }

  private func released(
    _ allocations: [Allocation], available: Int64, reserved: Int64
  ) -> StockEvent {
    .released(
      StockReleased(
        productID: Self.coffee, orderID: order,
        quantity: allocations.reduce(0) { $0 + $1.quantity }, allocations: allocations,
        reason: "cancelled", level: StockLevel(available: available, reserved: reserved)))
  }

  private func reserve(_ quantity: Int64, store: Int64? = nil) -> StockCommand {
    .reserve(order: order, product: Self.coffee, quantity: quantity, store: store)
  }

  private var sevenHeld: [StockEvent] {
    spread + [
      reserved(
        [Allocation(.depot, 5), Allocation(.store(1), 2)], available: 5, reserved: 7)
    ]
  }

  // MARK: Restocking

  @Test("pieces come in at a location, and the levels are those after it")
  func restocks() throws {
    try given(Inventory.self)
      .when(
        .restock(product: Self.coffee, quantity: 5, productName: "Coffee", reorderLevel: 20)
      )
      .then(restocked(5, available: 5, reorderLevel: 20))
    try given(Inventory.self, history: sevenHeld)
      .when(.restock(product: Self.coffee, quantity: 2, location: .store(1)))
      .then(restocked(2, at: .store(1), available: 7, reserved: 7))
  }

  @Test("a quantity is from 1 to 1000000000", arguments: [0, -1, 1_000_000_001])
  func refusesQuantities(quantity: Int64) throws {
    let rejection = StockRejection.invalid(
      FieldError("quantity", .invalid("must be from 1 to 1000000000")))
    let commands: [StockCommand] = [
      .restock(product: Self.coffee, quantity: quantity), reserve(quantity),
      .release(order: order, quantity: quantity, reason: "x"),
      .deduct(order: order, quantity: quantity), .deduct(quantity: quantity),
      .transfer(from: .depot, to: .store(1), quantity: quantity),
    ]
    for command in commands {
      try given(Inventory.self, history: sevenHeld).when(command).thenRejected(rejection)
    }
  }

  @Test("a reorder level is not negative")
  func refusesReorderLevel() throws {
    try given(Inventory.self)
      .when(.restock(product: Self.coffee, quantity: 1, reorderLevel: -1))
      .thenRejected(.invalid(FieldError("reorder_level", .invalid("must not be negative"))))
  }

  // MARK: Reserving

  @Test("an order takes from the depot first and then from the stores by number")
  func reservesInOrder() throws {
    try given(Inventory.self, history: spread).when(reserve(10)).then(
      reserved(
        [Allocation(.depot, 5), Allocation(.store(1), 3), Allocation(.store(2), 2)],
        available: 2, reserved: 10))
  }

  @Test("an order of a store takes from that store alone")
  func reservesAtStore() throws {
    try given(Inventory.self, history: spread).when(reserve(4, store: 2)).then(
      reserved([Allocation(.store(2), 4)], available: 8, reserved: 4))
    try given(Inventory.self, history: spread).when(reserve(5, store: 2))
      .thenRejected(.insufficientStock(requested: 5, available: 4))
  }

  @Test("more than there is cannot be reserved by hand")
  func refusesShortage() throws {
    try given(Inventory.self, history: spread).when(reserve(13))
      .thenRejected(.insufficientStock(requested: 13, available: 12))
    try given(Inventory.self).when(reserve(1))
      .thenRejected(.insufficientStock(requested: 1, available: 0))
  }

  @Test("an order that holds pieces is served already")
  func reservesOnce() throws {
    try given(Inventory.self, history: sevenHeld).when(reserve(7)).thenNothing()
  }

  // MARK: Releasing

  @Test("a released order leaves nothing held, and its pieces lie where they came from")
  func releases() throws {
    let decision = given(Inventory.self, history: sevenHeld)
      .when(.release(order: order, reason: "cancelled"))
    try decision.then(
      released([Allocation(.depot, 5), Allocation(.store(1), 2)], available: 12, reserved: 0))
    #expect(decision.state.held(for: order).isEmpty)
    #expect(decision.state.reservationCount == 0)
    #expect(
      decision.state.onHand == [
        Allocation(.depot, 5), Allocation(.store(1), 3), Allocation(.store(2), 4),
      ])
  }

  @Test("a part of what an order holds is released, and the rest after it")
  func releasesPart() throws {
    let part = released([Allocation(.depot, 3)], available: 8, reserved: 4)
    try given(Inventory.self, history: sevenHeld)
      .when(.release(order: order, quantity: 3, reason: "cancelled")).then(part)
    try given(Inventory.self, history: sevenHeld + [part])
      .when(.release(order: order, reason: "cancelled"))
      .then(
        released(
          [Allocation(.depot, 2), Allocation(.store(1), 2)], available: 12, reserved: 0))
  }

  @Test("releasing an order that holds nothing does nothing")
  func releasesNothing() throws {
    try given(Inventory.self).when(.release(order: order, reason: "x")).thenNothing()
    try given(Inventory.self, history: sevenHeld)
      .when(.release(order: Samples.otherOrderID, quantity: 1, reason: "x")).thenNothing()
  }

  @Test("no more is released than an order holds")
  func refusesRelease() throws {
    try given(Inventory.self, history: sevenHeld)
      .when(.release(order: order, quantity: 8, reason: "x"))
      .thenRejected(.insufficientStock(requested: 8, available: 7))
  }

  // MARK: Deducting

  @Test("an order's pieces are sold, all or some")
  func deductsReserved() throws {
    let all = given(Inventory.self, history: sevenHeld).when(.deduct(order: order))
    try all.then(
      .deducted(
        StockDeducted(
          productID: Self.coffee, orderID: order, quantity: 7,
          allocations: [Allocation(.depot, 5), Allocation(.store(1), 2)],
          isFromReservation: true, level: StockLevel(available: 5, reserved: 0))))
    #expect(all.state.held(for: order).isEmpty)
    #expect(all.state.sold == 7)
    let some = given(Inventory.self, history: sevenHeld)
      .when(.deduct(order: order, quantity: 6))
    #expect(some.state.held(for: order) == [Allocation(.store(1), 1)])
  }

  @Test("no more is sold to an order than it holds")
  func refusesDeductReserved() throws {
    try given(Inventory.self, history: sevenHeld).when(.deduct(order: order, quantity: 8))
      .thenRejected(.insufficientStock(requested: 8, available: 7))
    try given(Inventory.self, history: spread).when(.deduct(order: order, quantity: 1))
      .thenRejected(.insufficientStock(requested: 1, available: 0))
    try given(Inventory.self, history: spread).when(.deduct(order: order)).thenNothing()
  }

  @Test("without an order, free pieces are sold")
  func deductsFree() throws {
    try given(Inventory.self, history: sevenHeld).when(.deduct(quantity: 2)).then(
      .deducted(
        StockDeducted(
          productID: Self.coffee, quantity: 2,
          allocations: [Allocation(.store(1), 1), Allocation(.store(2), 1)],
          isFromReservation: false, level: StockLevel(available: 3, reserved: 7))))
    try given(Inventory.self, history: sevenHeld).when(.deduct(quantity: 6))
      .thenRejected(.insufficientStock(requested: 6, available: 5))
    try given(Inventory.self, history: spread)
      .when(.deduct(quantity: 4, location: .store(1)))
      .thenRejected(.insufficientStock(requested: 4, available: 3))
    try given(Inventory.self).when(.deduct(quantity: 1))
      .thenRejected(.insufficientStock(requested: 1, available: 0))
  }

  @Test("selling free pieces needs a quantity")
  func refusesDeductWithoutQuantity() throws {
    try given(Inventory.self, history: spread).when(.deduct())
      .thenRejected(.invalid(FieldError("quantity", .missing)))
  }

  // MARK: Counting and moving

  @Test("a count corrects what lies at a location, never below 0")
  func adjusts() throws {
    func adjust(_ change: Int64) -> StockCommand {
      .adjust(
        product: Self.coffee, location: .store(1), quantityChange: change, reason: "count")
    }
    let less = given(Inventory.self, history: spread).when(adjust(-3))
    try less.then(
      .adjusted(
        StockAdjusted(
          productID: Self.coffee, location: .store(1), quantityChange: -3, reason: "count",
          level: StockLevel(available: 9, reserved: 0))))
    #expect(less.state.available(at: Location.store(1)) == 0)
    #expect(less.state.adjusted == -3)
    try given(Inventory.self, history: spread).when(adjust(-4))
      .thenRejected(.insufficientStock(requested: 4, available: 3))
    let error = FieldError("quantity_change", .invalid("must not be 0, nor beyond 1000000000"))
    for change in [0, 1_000_000_001, Int64.min] {
      try given(Inventory.self, history: spread).when(adjust(change))
        .thenRejected(.invalid(error))
    }
  }

  @Test("pieces are moved between locations, and their number stays")
  func transfers() throws {
    let moved = given(Inventory.self, history: spread)
      .when(.transfer(from: .depot, to: .store(7), quantity: 5))
    try moved.then(
      .transferred(
        StockTransferred(
          productID: Self.coffee, from: .depot, to: .store(7), quantity: 5,
          level: StockLevel(available: 12, reserved: 0))))
    #expect(moved.state.available(at: Location.store(7)) == 5)
    try given(Inventory.self, history: spread)
      .when(.transfer(from: .depot, to: .store(7), quantity: 6))
      .thenRejected(.insufficientStock(requested: 6, available: 5))
    try given(Inventory.self, history: spread)
      .when(.transfer(from: .depot, to: .depot, quantity: 5)).thenNothing()
    try given(Inventory.self).when(.transfer(from: .depot, to: .store(1), quantity: 1))
      .thenRejected(.insufficientStock(requested: 1, available: 0))
  }
}
