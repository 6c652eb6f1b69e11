import EventSourcing

/// The stock of one product. Always: available + reserved + sold = received + adjusted, and no
/// quantity is negative.
public struct Stock: Sendable, Equatable {
  /// Nil while the product never had stock.
  public internal(set) var productID: ProductID?
  public internal(set) var productName: String?
  public internal(set) var reorderLevel: Int64 = 10
  /// Free pieces by location, sorted; a location without any may be missing.
  public internal(set) var onHand: [Allocation] = []
  public internal(set) var reserved: Int64 = 0
  public internal(set) var sold: Int64 = 0
  public internal(set) var received: Int64 = 0
  public internal(set) var adjusted: Int64 = 0
  private(set) var holds = PersistentMap<OrderID, Hold>()
  private var expiries = Expiries()
  /// Orders whose reservation was undone before it came; for ever.
  private(set) var barred = PersistentMap<OrderID, Tombstone>()

  struct Hold: Sendable, Equatable {
    var allocations: [Allocation]
    /// Nil: until it is released.
    var expiresAt: Timestamp?
  }

  struct Tombstone: Sendable, Equatable {}

  public init() {}

  /// Free pieces over all locations.
  public var available: Int64 { onHand.reduce(0) { $0 + $1.quantity } }

  public var level: StockLevel { StockLevel(available: available, reserved: reserved) }

  /// How many orders hold pieces.
  public var reservationCount: Int { holds.count }

  /// Free pieces at a location.
  public func available(at location: Location) -> Int64 {
    onHand.first { $0.location == location }?.quantity ?? 0
  }

  /// Free pieces at `location`, or everywhere when it is nil.
  public func available(at location: Location?) -> Int64 {
    if let location { available(at: location) } else { available }
  }

  /// What an order holds, by location; empty when nothing.
  public func held(for order: OrderID) -> [Allocation] { holds[order]?.allocations ?? [] }

  /// When what an order holds expires; nil when it does not, or when it holds nothing.
  public func holdExpiry(for order: OrderID) -> Timestamp? { holds[order]?.expiresAt }

  /// Whether the order holds pieces that others may have at `now`.
  public func hasExpired(_ order: OrderID, at now: Timestamp) -> Bool {
    holdExpiry(for: order).map { $0 <= now } ?? false
  }

  /// Whether an order can never hold any: its reservation was undone before it came.
  public func isBarred(_ order: OrderID) -> Bool { barred[order] != nil }

  /// Where `quantity` free pieces are taken: at `location`, or from the depot first and then from
  /// the stores by number. Nil when there are not so many.
  func allocate(_ quantity: Int64, at location: Location?) -> [Allocation]? {
    if let location {
      return available(at: location) >= quantity ? [Allocation(location, quantity)] : nil
    }
    return Self.take(quantity, from: onHand)
  }

  /// The first `quantity` pieces of `source`; nil when it has not so many.
  static func take(_ quantity: Int64, from source: [Allocation]) -> [Allocation]? {
    var taken: [Allocation] = []
    var missing = quantity
    for place in source where missing > 0 && place.quantity > 0 {
      let count = min(missing, place.quantity)
      taken.append(Allocation(place.location, count))
      missing -= count
    }
    return missing == 0 ? taken : nil
  }

  mutating func add(_ quantity: Int64, at location: Location) {
    if let index = onHand.firstIndex(where: { $0.location >= location }) {
      if onHand[index].location == location {
        onHand[index].quantity += quantity
      } else {
        onHand.insert(Allocation(location, quantity), at: index)
      }
    } else {
      onHand.append(Allocation(location, quantity))
    }
  }

  mutating func bar(_ order: OrderID) { barred[order] = Tombstone() }

  /// The orders whose hold has expired, the earliest first, each with its pieces at `location` (or
  /// everywhere) if it has any there.
  func visitExpired(
    at now: Timestamp, location: Location?, _ visit: (OrderID, Int64) -> Bool
  ) {
    expiries.visit(expiredAt: now) { order in
      let here = held(for: order).filter { location == nil || $0.location == location }
      return here.isEmpty || visit(order, here.quantity)
    }
  }

  /// Adds pieces to what an order holds, all of it until `expiresAt`.
  mutating func hold(
    _ allocations: [Allocation], for order: OrderID, until expiresAt: Timestamp?
  ) {
    var merged = held(for: order)
    for more in allocations {
      if let index = merged.firstIndex(where: { $0.location == more.location }) {
        merged[index].quantity += more.quantity
      } else {
        merged.append(more)
      }
    }
    set(Hold(allocations: merged, expiresAt: expiresAt), for: order)
  }

  /// Changes until when an order holds what it holds.
  mutating func hold(for order: OrderID, until expiresAt: Timestamp?) {
    guard let hold = holds[order] else { return }
    set(Hold(allocations: hold.allocations, expiresAt: expiresAt), for: order)
  }

  /// Takes pieces away from what an order holds.
  mutating func unhold(_ allocations: [Allocation], for order: OrderID) {
    guard var hold = holds[order] else { return }
    for less in allocations {
      if let index = hold.allocations.firstIndex(where: { $0.location == less.location }) {
        hold.allocations[index].quantity -= less.quantity
      }
    }
    hold.allocations.removeAll { $0.quantity == 0 }
    set(hold.allocations.isEmpty ? nil : hold, for: order)
  }

  private mutating func set(_ hold: Hold?, for order: OrderID) {
    let old = holds[order]?.expiresAt
    holds[order] = hold
    guard old != hold?.expiresAt else { return }
    if let old { expiries.remove(order, at: old) }
    if let new = hold?.expiresAt { expiries.insert(order, at: new) }
  }
}

extension [Allocation] {
  /// Pieces in all.
  var quantity: Int64 { reduce(0) { $0 + $1.quantity } }
}
