import EventSourcing

/// So many pieces of a product, as an order asks for them.
public typealias OrderLine = (product: ProductID, quantity: Int64)

/// What concerns all products of an order at once.
extension Inventory {
  /// Holds all lines of an order, whole or not at all. The same product in several lines is summed
  /// first. Short of any line: ``StockUnavailable`` in the stream of each short product, and
  /// nothing is held. Products that the order holds already are served; all of them: no event.
  ///
  /// - Parameters:
  ///   - expiresAt: when others who are short may have the pieces; nil: when they are released.
  ///   - states: by product id; a missing one is empty.
  /// - Throws: ``StockRejection/barred(_:)`` when the order is barred in any of its products.
  public static func reserve(
    order: OrderID, lines: [OrderLine], store: Int64?, expiresAt: Timestamp? = nil,
    states: [String: Stock]
  ) throws(StockRejection) -> CommandHandler<Inventory>.Decisions {
    let location = store.map { Location.store($0) }
    var reserved: CommandHandler<Inventory>.Decisions = []
    var short: CommandHandler<Inventory>.Decisions = []
    for line in summed(lines) {
      let id = line.product.text
      let state = states[id] ?? initial
      guard !state.isBarred(order) else { throw .barred(order) }
      guard state.held(for: order).isEmpty else { continue }
      if line.quantity > 0, let allocations = state.allocate(line.quantity, at: location) {
        let event = Self.reserved(state, order, line.product, allocations, until: expiresAt)
        reserved.append((id, [event]))
      } else {
        let event = StockUnavailable(
          productID: line.product, orderID: order, requestedQuantity: line.quantity,
          availableQuantity: state.available(at: location), reason: "insufficient stock")
        short.append((id, [.unavailable(event)]))
      }
    }
    return short.isEmpty ? reserved : short
  }

  /// Frees whatever the order holds of these products.
  /// - Parameter barring: a reservation that has not come yet is undone too: of what the order does
  ///   not hold, it is refused from now on.
  public static func release(
    order: OrderID, products: [ProductID], reason: String, barring: Bool = false,
    states: [String: Stock]
  ) throws(StockRejection) -> CommandHandler<Inventory>.Decisions {
    var decisions: CommandHandler<Inventory>.Decisions = []
    for product in products where !decisions.contains(where: { $0.id == product.text }) {
      let state = states[product.text] ?? initial
      var events = try decide(.release(order: order, reason: reason), state)
      if barring {
        events += try decide(.bar(order: order, product: product, reason: reason), state)
      }
      decisions.append((product.text, events))
    }
    return decisions
  }

  /// Holds what the order holds of each of these products until `until` at least.
  /// - Throws: ``StockRejection/notHeld(_:)`` when it does not hold some of every one, or no longer
  ///   at `now`.
  public static func extendHold(
    order: OrderID, products: [ProductID], until: Timestamp, now: Timestamp,
    states: [String: Stock]
  ) throws(StockRejection) -> CommandHandler<Inventory>.Decisions {
    try decide(.extendHold(order: order, until: until, now: now), on: products, states)
  }

  /// One command on each of these products.
  static func decide(
    _ command: StockCommand, on products: [ProductID], _ states: [String: Stock]
  ) throws(StockRejection) -> CommandHandler<Inventory>.Decisions {
    var decisions: CommandHandler<Inventory>.Decisions = []
    for product in products where !decisions.contains(where: { $0.id == product.text }) {
      decisions.append((product.text, try decide(command, states[product.text] ?? initial)))
    }
    return decisions
  }

  static func summed(_ lines: [OrderLine]) -> [OrderLine] {
    var sums: [OrderLine] = []
    sums.reserveCapacity(lines.count)
    for line in lines {
      if let index = sums.firstIndex(where: { $0.product == line.product }) {
        let (sum, overflow) = sums[index].quantity.addingReportingOverflow(line.quantity)
        sums[index].quantity = overflow ? .max : sum
      } else {
        sums.append(line)
      }
    }
    return sums
  }
}
