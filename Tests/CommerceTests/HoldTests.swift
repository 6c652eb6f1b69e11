import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@Suite("Holds that expire")
struct HoldTests {
  private static let coffee = Samples.coffee
  private let order = Samples.orderID
  private let end = Samples.now.adding(seconds: 60)

  private let stocked = StockEvent.restocked(
    StockRestocked(
      productID: coffee, quantity: 5, location: .depot,
      level: StockLevel(available: 5, reserved: 0), reorderLevel: 10))

  private func reserved(until end: Timestamp?) -> StockEvent {
    .reserved(
      StockReserved(
        productID: Self.coffee, orderID: order, quantity: 2,
        allocations: [Allocation(.depot, 2)], expiresAt: end,
        level: StockLevel(available: 3, reserved: 2)))
  }

  private func extend(to until: Timestamp, now: Timestamp = Samples.now) -> StockCommand {
    .extendHold(order: order, until: until, now: now)
  }

  private func extended(to end: Timestamp) -> StockEvent {
    .holdExtended(StockHoldExtended(productID: Self.coffee, orderID: order, expiresAt: end))
  }

  private var secured: StockEvent {
    .holdSecured(StockHoldSecured(productID: Self.coffee, orderID: order))
  }

  @Test("a reservation says until when it holds")
  func reserves() throws {
    let command = StockCommand.reserve(
      order: order, product: Self.coffee, quantity: 2, expiresAt: end)
    try given(Inventory.self, stocked).when(command).then(reserved(until: end))
  }

  @Test("a hold is made longer, never shorter")
  func extends() throws {
    let later = end.adding(seconds: 1)
    let history = [stocked, reserved(until: end)]
    try given(Inventory.self, history: history).when(extend(to: later)).then(extended(to: later))
    try given(Inventory.self, history: history).when(extend(to: end)).thenNothing()
    try given(Inventory.self, history: history + [extended(to: later)]).when(extend(to: end))
      .thenNothing()
    try given(Inventory.self, stocked, reserved(until: nil)).when(extend(to: later))
      .thenNothing()
  }

  @Test("what has expired is not extended, nor what is not held")
  func refusesToExtend() throws {
    let later = end.adding(seconds: 60)
    let history = [stocked, reserved(until: end)]
    try given(Inventory.self, history: history).when(extend(to: later, now: end))
      .thenRejected(.notHeld(order))
    try given(Inventory.self, history: history + [extended(to: later)])
      .when(extend(to: later.adding(seconds: 1), now: end)).then(
        extended(to: later.adding(seconds: 1)))
    try given(Inventory.self, stocked).when(extend(to: later)).thenRejected(.notHeld(order))
    try given(Inventory.self).when(extend(to: later)).thenRejected(.notHeld(order))
  }

  @Test("a hold is freed when it has expired, and stays when it was secured")
  func frees() throws {
    let released = StockEvent.released(
      StockReleased(
        productID: Self.coffee, orderID: order, quantity: 2,
        allocations: [Allocation(.depot, 2)], reason: "the hold expired",
        level: StockLevel(available: 5, reserved: 0)))
    let free = StockCommand.freeExpired(order: order, now: end)
    let early = StockCommand.freeExpired(order: order, now: end.adding(milliseconds: -1))
    let history = [stocked, reserved(until: end)]
    try given(Inventory.self, history: history).when(free).then(released)
    try given(Inventory.self, history: history).when(early).thenNothing()
    try given(Inventory.self, stocked, reserved(until: nil)).when(free).thenNothing()
    try given(Inventory.self, history: history).when(.secureHold(order: order)).then(secured)
    try given(Inventory.self, history: history + [secured]).when(free).thenNothing()
    try given(Inventory.self, history: history + [secured]).when(.secureHold(order: order))
      .thenNothing()
    try given(Inventory.self).when(.secureHold(order: order)).thenNothing()
  }

  @Test("a part that is released leaves the rest with its expiry")
  func releasesPart() {
    let state = given(Inventory.self, stocked, reserved(until: end))
      .when(.release(order: order, quantity: 1, reason: "by hand")).state
    #expect(state.holdExpiry(for: order) == end)
    #expect(state.hasExpired(order, at: end))
    let sold = given(Inventory.self, stocked, reserved(until: end)).when(.deduct(order: order))
      .state
    #expect(sold.holdExpiry(for: order) == nil)
    #expect(!sold.hasExpired(order, at: end))
  }

  // MARK: What an order is short of

  private func order(_ number: Int) -> OrderID {
    OrderID(CommandID(derivedFrom: "holder \(number)"))
  }

  /// So many orders hold a piece each at `location`, the first of them expiring first.
  private func held(
    by count: Int, of product: ProductID = coffee, at location: Location = .depot
  ) -> Stock {
    var state = Inventory.state(after: [
      .restocked(
        StockRestocked(
          productID: product, quantity: Int64(count), location: location,
          level: StockLevel(available: Int64(count), reserved: 0), reorderLevel: 10))
    ])
    for number in (0..<count).reversed() {
      let command = StockCommand.reserve(
        order: order(number), product: product, quantity: 1,
        expiresAt: Samples.now.adding(seconds: Int64(number)))
      for event in (try? Inventory.decide(command, state)) ?? [] {
        Inventory.evolve(&state, event)
      }
    }
    return state
  }

  private func shortages(
    _ lines: [OrderLine], store: Int64? = nil, after seconds: Int64, _ states: [String: Stock]
  ) -> [Shortage] {
    Inventory.shortages(
      order: order, lines: lines, store: store, now: Samples.now.adding(seconds: seconds),
      states: states)
  }

  @Test("a shortage names those whose hold has expired, the earliest first, so many at a time")
  func namesHolders() {
    let states = ["1": held(by: 40)]
    let few = shortages([(Self.coffee, 2)], after: 3, states)
    #expect(few.map(\.missing) == [2])
    #expect(few.first?.holders.map(\.order) == (0...3).map { order($0) })
    let many = shortages([(Self.coffee, 1), (Self.coffee, 29)], after: 29, states)
    #expect(many.map(\.missing) == [30])
    #expect(many.first?.holders.count == Inventory.expiredHoldersMax)
  }

  @Test("nobody is asked when nothing is missing, or when it would not help")
  func asksNobody() {
    let states = ["1": held(by: 10), "2": held(by: 3, of: Samples.donut)]
    #expect(shortages([(Self.coffee, 1)], after: -1, states).isEmpty)
    #expect(shortages([(Self.coffee, 5)], after: 3, states).isEmpty)
    #expect(shortages([(Self.coffee, 1), (Samples.donut, 4)], after: 99, states).isEmpty)
    #expect(shortages([(Self.coffee, 1), (ProductID(3), 1)], after: 99, states).isEmpty)
    #expect(shortages([(Self.coffee, 10), (Samples.donut, 3)], after: 99, states).count == 2)
    var free = held(by: 10)
    Inventory.evolve(&free, stocked)
    #expect(shortages([(Self.coffee, 5)], after: 99, ["1": free]).isEmpty)
    #expect(shortages([(Self.coffee, 6)], after: 99, ["1": free]).map(\.missing) == [1])
  }

  @Test("an order of a store asks those alone who hold pieces of that store")
  func asksAtStore() {
    let states = ["1": held(by: 3, at: .store(2))]
    #expect(shortages([(Self.coffee, 1)], store: 1, after: 9, states).isEmpty)
    #expect(shortages([(Self.coffee, 1)], store: 2, after: 9, states).count == 1)
  }

  @Test("who holds the product already is short of nothing")
  func isServed() {
    var state = held(by: 3)
    for event in [stocked, reserved(until: nil)] { Inventory.evolve(&state, event) }
    #expect(shortages([(Self.coffee, 99)], after: 99, ["1": state]).isEmpty)
  }
}
