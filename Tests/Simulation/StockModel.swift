import EventSourcing

/// The pieces of one product, counted from the events alone: no code of the shop has a part in it.
struct StockModel {
  private(set) var available: Int64 = 0
  private(set) var reserved: Int64 = 0
  private(set) var sold: Int64 = 0
  private(set) var received: Int64 = 0
  private(set) var adjusted: Int64 = 0
  private(set) var holds: [String: Int64] = [:]

  /// - Returns: what is wrong after the event; nil when nothing is.
  mutating func take(_ event: Recorded) -> String? {
    let quantity = event.data["quantity"]?.integerValue ?? 0
    let order = event.data["order_id"]?.stringValue ?? ""
    switch event.type {
    case "StockRestocked":
      received += quantity
      available += quantity
    case "StockReserved":
      available -= quantity
      reserved += quantity
      holds[order, default: 0] += quantity
    case "StockReleased":
      available += quantity
      reserved -= quantity
      holds[order, default: 0] -= quantity
    case "StockDeducted":
      sold += quantity
      if event.data["from_reservation"] == true {
        reserved -= quantity
        holds[order, default: 0] -= quantity
      } else {
        available -= quantity
      }
    case "StockAdjusted":
      let change = event.data["quantity_change"]?.integerValue ?? 0
      adjusted += change
      available += change
    default: return nil
    }
    return fault(after: event)
  }

  private func fault(after event: Recorded) -> String? {
    let told = (
      event.data["available_quantity"]?.integerValue, event.data["reserved_quantity"]?.integerValue
    )
    guard available >= 0, reserved >= 0, sold >= 0, holds.values.allSatisfy({ $0 >= 0 }) else {
      return "something is negative: \(self)"
    }
    guard available + reserved + sold == received + adjusted else { return "\(self)" }
    guard holds.values.reduce(0, +) == reserved else { return "holds and reserved differ: \(self)" }
    guard told == (available, reserved) else { return "the event says \(told): \(self)" }
    return nil
  }
}
