import EventSourcing
import Testing

@testable import Commerce

@Suite struct StockInvariantTests {
  @Test(
    "available + reserved + sold = received + adjusted, and nothing is negative, whatever is asked",
    arguments: 1...20)
  func holdsTogether(seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    var stock = Inventory.initial
    let orders = (0..<8).map { OrderID(CommandID(derivedFrom: "order \($0)")) }
    for _ in 0..<500 {
      let command = Self.randomCommand(orders, &chance)
      guard let events = try? Inventory.decide(command, stock) else { continue }
      for event in events {
        Inventory.evolve(&stock, event)
        expectSound(stock, orders: orders, after: event)
      }
    }
  }

  static func randomCommand(
    _ orders: [OrderID], _ chance: inout SeededGenerator
  ) -> StockCommand {
    let quantity = Int64.random(in: 1...9, using: &chance)
    let order = orders[Int.random(in: 0..<orders.count, using: &chance)]
    let store = Int64.random(in: 0...3, using: &chance)
    let location: Location = store == 0 ? .depot : .store(store)
    let time = Samples.now.adding(seconds: Int64.random(in: 0..<20, using: &chance))
    switch Int.random(in: 0..<13, using: &chance) {
    case 0, 1:
      return .restock(product: Samples.coffee, quantity: quantity, location: location)
    case 2, 3:
      return .reserve(
        order: order, product: Samples.coffee, quantity: quantity,
        store: store == 0 ? nil : store, expiresAt: Bool.random(using: &chance) ? time : nil)
    case 4: return .release(order: order, reason: "x")
    case 5: return .release(order: order, quantity: quantity, reason: "x")
    case 6: return .deduct(order: order, quantity: Bool.random(using: &chance) ? quantity : nil)
    case 7: return .deduct(quantity: quantity, location: store == 0 ? nil : location)
    case 8: return .bar(order: order, product: Samples.coffee, reason: "x")
    case 9:
      return .extendHold(
        order: order, until: time, now: Samples.now.adding(seconds: quantity))
    case 10: return .secureHold(order: order)
    case 11: return .freeExpired(order: order, now: time)
    default:
      return Bool.random(using: &chance)
        ? .transfer(from: location, to: .store(2), quantity: quantity)
        : .adjust(
          product: Samples.coffee, location: location, quantityChange: quantity - 5,
          reason: "count")
    }
  }

  private func expectSound(_ stock: Stock, orders: [OrderID], after event: StockEvent) {
    #expect(
      stock.available + stock.reserved + stock.sold == stock.received + stock.adjusted)
    #expect(stock.onHand.allSatisfy { $0.quantity >= 0 })
    #expect(stock.onHand.map(\.location) == stock.onHand.map(\.location).sorted())
    let held = orders.flatMap { stock.held(for: $0) }
    #expect(held.allSatisfy { $0.quantity > 0 })
    #expect(held.reduce(0) { $0 + $1.quantity } == stock.reserved)
    #expect(stock.reservationCount == orders.count { !stock.held(for: $0).isEmpty })
    var expired: [OrderID] = []
    stock.visitExpired(at: Samples.now.adding(seconds: 10), location: nil) { order, _ in
      expired.append(order)
      return true
    }
    #expect(
      Set(expired)
        == Set(orders.filter { stock.hasExpired($0, at: Samples.now.adding(seconds: 10)) }))
    let moments = expired.compactMap { stock.holdExpiry(for: $0) }
    #expect(moments == moments.sorted() && moments.count == expired.count)
    #expect(orders.allSatisfy { !stock.isBarred($0) || stock.held(for: $0).isEmpty })
    switch event {
    case .reservationBarred, .holdExtended, .holdSecured: return
    default: break
    }
    #expect((try? event.data.integer("available_quantity")) == stock.available)
    #expect((try? event.data.integer("reserved_quantity")) == stock.reserved)
  }

  @Test("a persistent map answers as a dictionary does, and its copies stay what they were")
  func mapIsMap() {
    struct Key: Hashable {
      var number: Int
      // Few hashes, so that keys share them and share long beginnings of them.
      func hash(into hasher: inout Hasher) { hasher.combine(number % 40) }
    }
    var chance = SeededGenerator(seed: 1)
    var map = PersistentMap<Key, Int>()
    var dictionary: [Key: Int] = [:]
    var copies: [(PersistentMap<Key, Int>, [Key: Int])] = []
    for step in 0..<5000 {
      let key = Key(number: Int.random(in: 0..<200, using: &chance))
      let value: Int? = Int.random(in: 0..<3, using: &chance) == 0 ? nil : step
      map[key] = value
      dictionary[key] = value
      if step % 500 == 0 { copies.append((map, dictionary)) }
    }
    copies.append((map, dictionary))
    for (map, dictionary) in copies {
      #expect(map.count == dictionary.count)
      for number in 0..<200 {
        #expect(map[Key(number: number)] == dictionary[Key(number: number)])
      }
    }
    for key in dictionary.keys { map[key] = nil }
    #expect(map.isEmpty)
  }

  @Test("expiries are visited in their order up to a moment, and copies stay what they were")
  func expiriesAreOrdered() {
    var chance = SeededGenerator(seed: 3)
    var expiries = Expiries()
    var moments: [OrderID: Timestamp] = [:]
    var copies: [(Expiries, [OrderID: Timestamp])] = []
    for step in 0..<4000 {
      let order = OrderID(CommandID(derivedFrom: "\(Int.random(in: 0..<300, using: &chance))"))
      let moment = Samples.now.adding(seconds: Int64.random(in: 0..<50, using: &chance))
      if let old = moments.removeValue(forKey: order) {
        expiries.remove(order, at: old)
      } else {
        expiries.insert(order, at: moment)
        moments[order] = moment
      }
      if step % 400 == 0 { copies.append((expiries, moments)) }
    }
    copies.append((expiries, moments))
    for (expiries, moments) in copies {
      let now = Samples.now.adding(seconds: 30)
      let expected = moments.filter { $0.value <= now }
        .sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
      #expect(visited(expiries, now, max: .max) == expected)
      #expect(visited(expiries, now, max: 5) == Array(expected.prefix(5)))
      var rebuilt = Expiries()
      for (order, moment) in moments { rebuilt.insert(order, at: moment) }
      #expect(rebuilt == expiries)
    }
  }

  private func visited(_ expiries: Expiries, _ now: Timestamp, max: Int) -> [OrderID] {
    var orders: [OrderID] = []
    expiries.visit(expiredAt: now) { order in
      orders.append(order)
      return orders.count < max
    }
    return orders
  }
}
