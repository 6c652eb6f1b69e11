import EventSourcing

extension Inventory: SnapshottingDecider {
  /// 2: with the orders that are barred, and when holds expire.
  public static var snapshotSchema: Int { 2 }

  /// What orders hold is written tersely, `[order_id, location, quantity, location, quantity …]`,
  /// with the milliseconds of its expiry at the end if it has one: there may be many thousands. In
  /// the order of their ids, so that equal states look the same.
  public static func snapshot(of state: Stock) -> Fields {
    let held = state.holds.entries.sorted { $0.key < $1.key }
    let barred = state.barred.entries.map(\.key).sorted()
    return FieldsWriter.fields(capacity: 10) {
      if let product = state.productID { $0.add("product_id", product.value) }
      $0.add("product_name", state.productName)
      $0.add("reorder_level", state.reorderLevel)
      $0.add("on_hand", state.onHand)
      $0.add("reserved", state.reserved)
      $0.add("sold", state.sold)
      $0.add("received", state.received)
      $0.add("adjusted", state.adjusted)
      $0.add("reservations", .array(held.map { reservation($0.key, $0.value) }))
      $0.add("barred", .array(barred.map { .string($0.text) }))
    }
  }

  public static func state(from snapshot: Fields) throws -> Stock {
    var state = Stock()
    state.productID =
      try snapshot.integerIfPresent("product_id") == nil ? nil : snapshot.productID()
    state.productName = try snapshot.stringIfPresent("product_name")
    state.reorderLevel = try snapshot.integer("reorder_level")
    state.onHand = try snapshot.allocations("on_hand")
    state.reserved = try snapshot.integer("reserved")
    state.sold = try snapshot.integer("sold")
    state.received = try snapshot.integer("received")
    state.adjusted = try snapshot.integer("adjusted")
    for value in try snapshot.array("reservations") {
      let (order, hold) = try reservation(value)
      state.hold(hold.allocations, for: order, until: hold.expiresAt)
    }
    for value in try snapshot.array("barred") { state.bar(try order(value)) }
    return state
  }

  private static func order(_ value: Value) throws -> OrderID {
    try Fields(uniqueEntries: [.init(key: "order_id", value: value)]).orderID()
  }

  private static func reservation(_ order: OrderID, _ hold: Stock.Hold) -> Value {
    var parts: [Value] = [.string(order.text)]
    for allocation in hold.allocations {
      parts.append(.string(allocation.location.name))
      parts.append(.integer(allocation.quantity))
    }
    if let expiry = hold.expiresAt { parts.append(.integer(expiry.millisecondsSinceEpoch)) }
    return .array(parts)
  }

  private static func reservation(_ value: Value) throws -> (OrderID, Stock.Hold) {
    let wrong = FieldError("reservations", .invalid("must hold an order id and what it holds"))
    guard var parts = value.arrayValue, parts.count >= 3 else { throw wrong }
    let order = try order(parts.removeFirst())
    var expiry: Timestamp?
    if !parts.count.isMultiple(of: 2) {
      guard let milliseconds = parts.removeLast().integerValue else { throw wrong }
      expiry = Timestamp(millisecondsSinceEpoch: milliseconds)
    }
    let allocations = try stride(from: 0, to: parts.count, by: 2).map { place in
      guard let location = parts[place].stringValue.flatMap(Location.init),
        let quantity = parts[place + 1].integerValue
      else { throw wrong }
      return Allocation(location, quantity)
    }
    return (order, Stock.Hold(allocations: allocations, expiresAt: expiry))
  }
}
