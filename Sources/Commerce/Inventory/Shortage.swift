import EventSourcing

/// Pieces of a product that an order asks for and that are not free, while others hold some whose
/// time is over.
public struct Shortage: Sendable, Equatable {
  public struct Holder: Sendable, Equatable {
    public var order: OrderID
    /// What it holds where the pieces are missing.
    public var quantity: Int64
  }

  public var product: ProductID
  /// Always positive.
  public var missing: Int64
  /// Whose hold has expired, the earliest first, at most ``Inventory/expiredHoldersMax``.
  public var holders: [Holder]
}

extension Inventory {
  /// How many holders a shortage names at a time.
  public static let expiredHoldersMax = 16
  /// So many expired holds are counted; a product that is short of more stays short.
  private static let countedMax = 16 * expiredHoldersMax

  /// What an order is short of, and who could be asked for it at `now`. Empty when the order is not
  /// short, or when it would be even if all holds that have expired were freed.
  public static func shortages(
    order: OrderID, lines: [OrderLine], store: Int64?, now: Timestamp, states: [String: Stock]
  ) -> [Shortage] {
    let location = store.map { Location.store($0) }
    var shortages: [Shortage] = []
    for line in summed(lines) {
      let state = states[line.product.text] ?? initial
      let missing = line.quantity - state.available(at: location)
      guard state.held(for: order).isEmpty, missing > 0 else { continue }
      var shortage = Shortage(product: line.product, missing: missing, holders: [])
      var count = 0
      var pieces: Int64 = 0
      state.visitExpired(at: now, location: location) { holder, quantity in
        count += 1
        pieces += quantity
        if shortage.holders.count < expiredHoldersMax {
          shortage.holders.append(Shortage.Holder(order: holder, quantity: quantity))
        }
        let isEnough = pieces >= missing && shortage.holders.count == expiredHoldersMax
        return !isEnough && count < countedMax
      }
      guard pieces >= missing else { return [] }
      shortages.append(shortage)
    }
    return shortages
  }
}
