import EventSourcing

public enum StockCommand: Sendable, Hashable {
  case restock(
    product: ProductID, quantity: Int64, location: Location = .depot, productName: String? = nil,
    reorderLevel: Int64? = nil)
  /// Holds pieces for an order; at the order's store when it has one. An order that holds pieces
  /// of the product already is served. When nothing is said of an expiry, they are held until they
  /// are released.
  case reserve(
    order: OrderID, product: ProductID, quantity: Int64, store: Int64? = nil,
    expiresAt: Timestamp? = nil)
  /// Holds what the order holds until `until` at least. A hold that has expired at `now` is lost.
  case extendHold(order: OrderID, until: Timestamp, now: Timestamp)
  /// The order has begun to pay: what it holds does not expire any more.
  case secureHold(order: OrderID)
  /// Frees what the order holds, if that has expired at `now`.
  case freeExpired(order: OrderID, now: Timestamp)
  /// Frees what the order holds, or `quantity` pieces of it. Never refused when `quantity` is nil.
  case release(order: OrderID, quantity: Int64? = nil, reason: String)
  /// Undoes a reservation that has not come yet: from now on it is refused. Pieces that the order
  /// holds are not touched: then there is nothing to bar.
  case bar(order: OrderID, product: ProductID, reason: String)
  /// Sells: with an order, what it holds (or `quantity` pieces of it); without one, free pieces.
  case deduct(order: OrderID? = nil, quantity: Int64? = nil, location: Location? = nil)
  case adjust(product: ProductID, location: Location, quantityChange: Int64, reason: String)
  case transfer(from: Location, to: Location, quantity: Int64)
}

public enum StockRejection: Error, Sendable, Hashable {
  case insufficientStock(requested: Int64, available: Int64)
  /// The order holds nothing, or what it held has expired.
  case notHeld(OrderID)
  /// The reservation was undone before it came.
  case barred(OrderID)
  case invalid(FieldError)
}

/// The stock of the products, one product a stream.
public enum Inventory: Decider {
  public typealias State = Stock
  public typealias Command = StockCommand
  public typealias Event = StockEvent
  public typealias Rejection = StockRejection

  /// Pieces in one change; and, over all changes, in stock.
  public static let quantityRange: ClosedRange<Int64> = 1...1_000_000_000
  public static let upcasters = [StockReserved.fromSchema1]
  private static let receivedMax: Int64 = 1_000_000_000_000_000

  public static var category: String { "inventory" }
  public static var initial: Stock { Stock() }

  public static func decide(
    _ command: StockCommand, _ state: Stock
  ) throws(StockRejection) -> [StockEvent] {
    switch command {
    case .restock(let product, let quantity, let location, let name, let reorderLevel):
      return [
        try restock(state, product, quantity, location, name: name, reorderLevel: reorderLevel)
      ]
    case .reserve(let order, let product, let quantity, let store, let expiresAt):
      try check(quantity)
      guard !state.isBarred(order) else { throw .barred(order) }
      guard state.held(for: order).isEmpty else { return [] }
      let location = store.map { Location.store($0) }
      guard let allocations = state.allocate(quantity, at: location) else {
        throw .insufficientStock(requested: quantity, available: state.available(at: location))
      }
      return [reserved(state, order, product, allocations, until: expiresAt)]
    case .extendHold(let order, let until, let now):
      return try extendHold(state, order, until: until, now: now)
    case .secureHold(let order):
      guard let product = state.productID, state.holdExpiry(for: order) != nil else { return [] }
      return [.holdSecured(StockHoldSecured(productID: product, orderID: order))]
    case .freeExpired(let order, let now):
      guard state.hasExpired(order, at: now) else { return [] }
      return try release(state, order, nil, "the hold expired")
    case .release(let order, let quantity, let reason):
      return try release(state, order, quantity, reason)
    case .bar(let order, let product, let reason):
      guard state.held(for: order).isEmpty, !state.isBarred(order) else { return [] }
      let bar = StockReservationBarred(productID: product, orderID: order, reason: reason)
      return [.reservationBarred(bar)]
    case .deduct(let order?, let quantity, _):
      return try deductReserved(state, order, quantity)
    case .deduct(nil, let quantity, let location):
      return [try deductFree(state, quantity, location)]
    case .adjust(let product, let location, let change, let reason):
      return [try adjust(state, product, location, change, reason)]
    case .transfer(let from, let to, let quantity):
      return try transfer(state, from, to, quantity)
    }
  }

  public static func evolve(_ state: inout Stock, _ event: StockEvent) {
    switch event {
    case .restocked(let event):
      state.productID = event.productID
      state.productName = event.productName ?? state.productName
      state.reorderLevel = event.reorderLevel
      state.received += event.quantity
      state.add(event.quantity, at: event.location)
    case .reserved(let event):
      for taken in event.allocations { state.add(-taken.quantity, at: taken.location) }
      state.reserved += event.quantity
      state.hold(event.allocations, for: event.orderID, until: event.expiresAt)
    case .unavailable: break
    case .released(let event):
      for freed in event.allocations { state.add(freed.quantity, at: freed.location) }
      state.reserved -= event.quantity
      state.unhold(event.allocations, for: event.orderID)
    case .reservationBarred(let event): state.bar(event.orderID)
    case .holdExtended(let event): state.hold(for: event.orderID, until: event.expiresAt)
    case .holdSecured(let event): state.hold(for: event.orderID, until: nil)
    case .deducted(let event):
      state.sold += event.quantity
      if event.isFromReservation, let order = event.orderID {
        state.reserved -= event.quantity
        state.unhold(event.allocations, for: order)
      } else {
        for taken in event.allocations { state.add(-taken.quantity, at: taken.location) }
      }
    case .adjusted(let event):
      state.productID = event.productID
      state.adjusted += event.quantityChange
      state.add(event.quantityChange, at: event.location)
    case .transferred(let event):
      state.add(-event.quantity, at: event.from)
      state.add(event.quantity, at: event.to)
    }
  }

  // MARK: Single decisions

  private static func restock(
    _ state: Stock, _ product: ProductID, _ quantity: Int64, _ location: Location, name: String?,
    reorderLevel: Int64?
  ) throws(StockRejection) -> StockEvent {
    try check(quantity)
    if let reorderLevel, !(0...quantityRange.upperBound).contains(reorderLevel) {
      throw .invalid(FieldError("reorder_level", .invalid("must not be negative")))
    }
    guard state.received <= receivedMax - quantity else {
      throw .invalid(FieldError("quantity", .invalid("is more than the shop can hold")))
    }
    var level = state.level
    level.available += quantity
    return .restocked(
      StockRestocked(
        productID: product, productName: name ?? state.productName, quantity: quantity,
        location: location, level: level, reorderLevel: reorderLevel ?? state.reorderLevel))
  }

  static func reserved(
    _ state: Stock, _ order: OrderID, _ product: ProductID, _ allocations: [Allocation],
    until expiresAt: Timestamp?
  ) -> StockEvent {
    let quantity = allocations.quantity
    return .reserved(
      StockReserved(
        productID: product, orderID: order, quantity: quantity, allocations: allocations,
        expiresAt: expiresAt,
        level: StockLevel(
          available: state.available - quantity, reserved: state.reserved + quantity)))
  }

  private static func extendHold(
    _ state: Stock, _ order: OrderID, until: Timestamp, now: Timestamp
  ) throws(StockRejection) -> [StockEvent] {
    guard let product = state.productID, !state.held(for: order).isEmpty,
      !state.hasExpired(order, at: now)
    else { throw .notHeld(order) }
    guard let expiry = state.holdExpiry(for: order), expiry < until else { return [] }
    return [
      .holdExtended(StockHoldExtended(productID: product, orderID: order, expiresAt: until))
    ]
  }

  private static func release(
    _ state: Stock, _ order: OrderID, _ quantity: Int64?, _ reason: String
  ) throws(StockRejection) -> [StockEvent] {
    if let quantity { try check(quantity) }
    let held = state.held(for: order)
    guard let product = state.productID, !held.isEmpty else { return [] }
    guard let freed = Stock.take(quantity ?? held.quantity, from: held) else {
      throw .insufficientStock(requested: quantity ?? 0, available: held.quantity)
    }
    let count = freed.quantity
    return [
      .released(
        StockReleased(
          productID: product, orderID: order, quantity: count, allocations: freed, reason: reason,
          level: StockLevel(
            available: state.available + count, reserved: state.reserved - count)))
    ]
  }

  private static func deductReserved(
    _ state: Stock, _ order: OrderID, _ quantity: Int64?
  ) throws(StockRejection) -> [StockEvent] {
    if let quantity { try check(quantity) }
    let held = state.held(for: order)
    if held.isEmpty, quantity == nil { return [] }
    guard let product = state.productID,
      let sold = Stock.take(quantity ?? held.quantity, from: held)
    else {
      throw .insufficientStock(requested: quantity ?? 0, available: held.quantity)
    }
    let count = sold.quantity
    return [
      .deducted(
        StockDeducted(
          productID: product, orderID: order, quantity: count, allocations: sold,
          isFromReservation: true,
          level: StockLevel(available: state.available, reserved: state.reserved - count)))
    ]
  }

  private static func deductFree(
    _ state: Stock, _ quantity: Int64?, _ location: Location?
  ) throws(StockRejection) -> StockEvent {
    guard let quantity else { throw .invalid(FieldError("quantity", .missing)) }
    try check(quantity)
    guard let product = state.productID,
      let sold = state.allocate(quantity, at: location)
    else {
      throw .insufficientStock(requested: quantity, available: state.available(at: location))
    }
    return .deducted(
      StockDeducted(
        productID: product, quantity: quantity, allocations: sold, isFromReservation: false,
        level: StockLevel(available: state.available - quantity, reserved: state.reserved)))
  }

  private static func adjust(
    _ state: Stock, _ product: ProductID, _ location: Location, _ change: Int64, _ reason: String
  ) throws(StockRejection) -> StockEvent {
    guard change != 0, quantityRange.contains(Int64(clamping: change.magnitude)) else {
      throw .invalid(
        FieldError("quantity_change", .invalid("must not be 0, nor beyond 1000000000")))
    }
    let available = state.available(at: location)
    guard available + change >= 0 else {
      throw .insufficientStock(requested: -change, available: available)
    }
    guard state.received + state.adjusted <= receivedMax - change else {
      throw .invalid(FieldError("quantity_change", .invalid("is more than the shop can hold")))
    }
    var level = state.level
    level.available += change
    return .adjusted(
      StockAdjusted(
        productID: product, location: location, quantityChange: change, reason: reason,
        level: level))
  }

  private static func transfer(
    _ state: Stock, _ from: Location, _ to: Location, _ quantity: Int64
  ) throws(StockRejection) -> [StockEvent] {
    try check(quantity)
    let available = state.available(at: from)
    guard let product = state.productID, available >= quantity else {
      throw .insufficientStock(requested: quantity, available: available)
    }
    if from == to { return [] }
    return [
      .transferred(
        StockTransferred(
          productID: product, from: from, to: to, quantity: quantity, level: state.level))
    ]
  }

  static func check(_ quantity: Int64) throws(StockRejection) {
    do {
      try FieldError.check("quantity", quantity, in: quantityRange)
    } catch {
      throw .invalid(error)
    }
  }
}
