import EventSourcing
import EventSourcingTesting
import Testing

@testable import Commerce

@Suite("Snapshots of the shop's aggregates")
struct SnapshotTests {
  /// The state as a store gives it back.
  private func reread<D: SnapshottingDecider>(_ decider: D.Type, _ state: D.State) throws -> D.State
  {
    let text = JSONWriter.text(.object(D.snapshot(of: state)))
    return try D.state(from: try JSONReader.value(from: text).objectValue ?? [:])
  }

  /// At every prefix: the state comes back, and goes on as the one that was folded.
  private func check<D: SnapshottingDecider>(
    _ decider: D.Type, _ events: [D.Event], sourceLocation: SourceLocation = #_sourceLocation
  ) throws where D.State: Equatable {
    let full = D.state(after: events)
    var state = D.initial
    for index in 0...events.count {
      if index > 0 { D.evolve(&state, events[index - 1]) }
      let kept = try reread(decider, state)
      #expect(kept == state, "after \(index) events", sourceLocation: sourceLocation)
      let end = D.state(after: events[index...], from: kept)
      #expect(end == full, "from event \(index) on", sourceLocation: sourceLocation)
    }
  }

  @Test("a snapshot at any version and the events after it give the state of the whole stream")
  func everyAggregate() throws {
    try check(Orders.self, EventSamples.orders.map(\.event))
    try check(Inventory.self, EventSamples.inventory.map(\.event))
    try check(Payments.self, EventSamples.payments.map(\.event))
    try check(Products.self, EventSamples.products.map(\.event))
    try check(Customers.self, EventSamples.customers.map(\.event))
    try check(Notifications.self, EventSamples.notifications.map(\.event))
  }

  @Test("the same for any history of stock", arguments: UInt64(1)...10)
  func anyStock(seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    let orders = (0..<8).map { OrderID(CommandID(derivedFrom: "order \($0)")) }
    var events: [StockEvent] = []
    var state = Inventory.initial
    for _ in 0..<150 {
      let command = StockInvariantTests.randomCommand(orders, &chance)
      for event in (try? Inventory.decide(command, state)) ?? [] {
        events.append(event)
        Inventory.evolve(&state, event)
      }
    }
    try check(Inventory.self, events)
  }

  @Test("equal stock has equal snapshots, in whatever order it came about")
  func deterministic() {
    let reserved = ["a", "b", "c"].map { name in
      StockEvent.reserved(
        StockReserved(
          productID: Samples.coffee, orderID: OrderID(CommandID(derivedFrom: name)), quantity: 1,
          allocations: [Allocation(.depot, 1)], level: StockLevel(available: 0, reserved: 0)))
    }
    let one = Inventory.snapshot(of: Inventory.state(after: reserved))
    let other = Inventory.snapshot(of: Inventory.state(after: reserved.reversed()))
    #expect(one.entries == other.entries)
  }

  @Test("what is no snapshot of stock is refused")
  func refusesOthers() {
    let good = Inventory.snapshot(of: Inventory.state(after: EventSamples.inventory.map(\.event)))
    #expect(throws: FieldError.self) { try Inventory.state(from: [:]) }
    for (key, value) in [
      ("reservations", [["order_a"]]), ("reservations", [["order_a", "depot"]]),
      ("reservations", [["x", "depot", 1]]), ("reservations", [["order_a", "nowhere", 1]]),
      ("reservations", [["order_a", "depot", "1"]]),
      ("reservations", [["order_a", "depot", 1, "soon"]]), ("on_hand", 3), ("sold", "3"),
      ("barred", ["x"]), ("barred", [1]),
      ("product_id", 0),
    ] as [(String, Value)] {
      var bad = good
      bad[key] = value
      #expect(throws: FieldError.self, "\(key): \(value)") { try Inventory.state(from: bad) }
    }
  }

  @Test("the shape of no snapshot has changed under its schema number")
  func shapes() throws {
    func form<D: SnapshottingDecider>(_ decider: D.Type, _ events: [D.Event]) -> SchemaRegister.Form
    {
      let states = (0...events.count).map { D.state(after: events[..<$0]) }
      return SchemaRegister.Form(
        type: D.category, schema: D.snapshotSchema,
        shape: EventShape(of: states.map { D.snapshot(of: $0) }))
    }
    let register = try SchemaRegister(lines: RecordedEventsTests.lines("snapshots.shapes"))
    let findings = register.findings(
      writing: [
        form(Orders.self, EventSamples.orders.map(\.event)),
        form(Inventory.self, EventSamples.inventory.map(\.event)),
        form(Payments.self, EventSamples.payments.map(\.event)),
        form(Products.self, EventSamples.products.map(\.event)),
        form(Customers.self, EventSamples.customers.map(\.event)),
        form(Notifications.self, EventSamples.notifications.map(\.event)),
      ], upcasters: nil)
    for finding in findings { Issue.record("a snapshot: \(finding)") }
  }
}
