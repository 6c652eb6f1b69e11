import Commerce
import EventSourcing

/// The stock of all products of a ``ShopHistory`` while orders reserve it.
struct Shelves {
  private struct Shelf {
    var level = ShopHistory.openingLevel
    var version = Version(1)
  }

  private var shelves = Array(repeating: Shelf(), count: ShopHistory.products)

  /// As the first `orders` orders of a history left them.
  init(after orders: Int, of history: ShopHistory) {
    for number in 0..<orders {
      let draft = history.draft(number)
      _ = reserve(draft.quantity, of: draft.product)
    }
  }

  /// Holds pieces: the level after it, and the version of the product's stream before it.
  mutating func reserve(_ quantity: Int64, of product: Int) -> (
    level: StockLevel, version: Version
  ) {
    let version = shelves[product].version
    shelves[product].level.available -= quantity
    shelves[product].level.reserved += quantity
    shelves[product].version = version + 1
    return (shelves[product].level, version)
  }
}
