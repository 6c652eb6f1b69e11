import Commerce
import EventSourcing
import Testing

@testable import Projections

/// What every read model promises, over histories that chance wrote. A failure prints its seed.
@Suite("read models over random histories")
struct FoldPropertiesTests {
  static let seeds: [UInt64] = [1, 20_260_101, 0xC0FFEE]

  private func history(_ seed: UInt64, ticks: Int = 400) async throws -> InMemoryLog {
    let log = InMemoryLog()
    var shop = SimulatedShop(seed: seed, log: log)
    try await shop.open()
    for _ in 0..<ticks { try await shop.tick() }
    return log
  }

  @Test("applying every batch twice is applying it once", arguments: seeds)
  func idempotence(seed: UInt64) async throws {
    let log = try await history(seed)
    for projection in ReadModels.all {
      try await compareWithCrashes(projection, log)
    }
  }

  private func compareWithCrashes<P: Projection>(
    _ projection: P, _ log: InMemoryLog
  ) async throws {
    let calm = InMemoryReadModels()
    try await drive(projection, log: log, store: calm)
    let crashing = CrashingReadModels()
    try await drive(
      projection, log: log, store: crashing, batchCommitsMax: 250, stopsAtFailure: false)
    #expect(crashing.crashes >= 2)
    let expected = try await serving(projection.name, in: calm)
    #expect(!expected.isEmpty)
    #expect(try await serving(projection.name, in: crashing) == expected)
  }

  @Test("a row that is said to begin was not there before", arguments: seeds)
  func beginnings(seed: UInt64) async throws {
    let log = try await history(seed, ticks: 150)
    let events = try await log.read(after: .start, limit: .max).flatMap(\.events)
    for projection in ReadModels.all { try checkBeginnings(of: projection, events) }
  }

  private func checkBeginnings<P: Projection>(of projection: P, _ events: [Recorded]) throws {
    var rows: [String: P.Row] = [:]
    for event in events where projection.consumes.takes(event) {
      for id in try projection.rows(touchedBy: event) {
        if projection.begins(id, with: event) {
          #expect(rows[id] == nil, "\(id) at \(event.position)")
        }
        try projection.apply(event, to: &rows[id], id: id)
      }
    }
  }

  @Test("a batch of any size makes the same rows", arguments: [1, 7, 1000])
  func batchSizes(size: Int) async throws {
    let log = try await history(3, ticks: 150)
    for projection in ReadModels.all {
      try await compareWithOneBatch(projection, log, size: size)
    }
  }

  private func compareWithOneBatch<P: Projection>(
    _ projection: P, _ log: InMemoryLog, size: Int
  ) async throws {
    let whole = InMemoryReadModels()
    try await drive(projection, log: log, store: whole, batchCommitsMax: 1_000_000)
    let pieces = InMemoryReadModels()
    try await drive(projection, log: log, store: pieces, batchCommitsMax: size)
    #expect(
      try await serving(projection.name, in: pieces)
        == serving(projection.name, in: whole))
  }

  @Test("a rebuild makes the rows that grew live, byte for byte", arguments: seeds)
  func rebuild(seed: UInt64) async throws {
    let log = InMemoryLog()
    let store = InMemoryReadModels()
    let board = ProjectionBoard()
    var shop = SimulatedShop(seed: seed, log: log)
    try await shop.open()
    // Live: the read models follow in small steps while the shop goes on.
    for _ in 0..<20 {
      for _ in 0..<20 { try await shop.tick() }
      for projection in ReadModels.all {
        try await drive(projection, log: log, store: store, board: board)
      }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for projection in ReadModels.all {
        group.addTask { try await rebuild(projection, log, store) }
      }
      try await group.waitForAll()
    }
  }

  private func rebuild<P: Projection>(
    _ projection: P, _ log: InMemoryLog, _ store: InMemoryReadModels
  ) async throws {
    let live = try await serving(projection.name, in: store)
    let report = try await ProjectionRebuild(
      projection, log: log, store: store, settings: RebuildSettings(grace: .zero)
    ).run()
    #expect(report.differences.isEmpty)
    #expect(report.generation == 2)
    #expect(report.rows == live.count)
    #expect(try await serving(projection.name, in: store) == live)
  }

  @Test("every row comes back from its fields as it was", arguments: seeds)
  func roundTrip(seed: UInt64) async throws {
    let log = try await history(seed)
    for projection in ReadModels.all {
      let store = InMemoryReadModels()
      try await drive(projection, log: log, store: store)
      try await checkRoundTrip(projection, store)
    }
  }

  private func checkRoundTrip<P: Projection>(
    _ projection: P, _ store: InMemoryReadModels
  ) async throws {
    let stored = try await store.rows(of: "\(projection.name)__v1", after: nil, limit: 1_000_000)
    #expect(!stored.isEmpty)
    for row in stored {
      let decoded = try P.Row(fields: row.fields)
      #expect(JSONWriter.text(.object(decoded.fields)) == JSONWriter.text(.object(row.fields)))
      #expect(try P.Row(fields: decoded.fields) == decoded)
      // The store keeps `position` and the id beside these.
      #expect(row.fields["position"] == nil && row.fields["_id"] == nil)
    }
  }

  @Test("read models agree with each other and with the domain", arguments: seeds)
  func agreement(seed: UInt64) async throws {
    let log = try await history(seed)
    let store = InMemoryReadModels()
    let orders = try await rows(OrdersProjection(), log, store)
    let statistics = try await rows(StatisticsProjection(), log, store)
    let users = try await rows(UserSummariesProjection(), log, store)
    let total = try #require(statistics["total"]?.tally)

    var days = OrderTally()
    for (id, row) in statistics where id != "total" { try days.add(row.tally) }
    #expect(days == total)
    var customers = OrderTally()
    for row in users.values { try customers.add(row.tally) }
    #expect(customers == total)
    #expect(total.total == Int64(orders.count))
    let cancelled = orders.values.filter { $0.status == .cancelled }
    #expect(total.cancelled == Int64(cancelled.count))
    #expect(total.confirmed > 0 && total.cancelled > 0)

    let stock = try await rows(StockProjection(), log, store)
    let inventory = CommandHandler<Inventory>(log: log)
    for (id, row) in stock {
      let state = try await inventory.state(of: id).state
      #expect(row.level == state.level)
      #expect(row.sold == state.sold)
      #expect(row.pendingOrders.count == min(state.reservationCount, StockRow.pendingOrdersMax))
      for place in row.places {
        #expect(place.available == state.available(at: place.location))
      }
      #expect(row.places.reduce(0) { $0 + $1.reserved } == state.reserved)
    }
  }

  private func rows<P: Projection>(
    _ projection: P, _ log: InMemoryLog, _ store: InMemoryReadModels
  ) async throws -> [String: P.Row] {
    try await drive(projection, log: log, store: store)
    var rows: [String: P.Row] = [:]
    for row in try await store.rows(of: "\(projection.name)__v1", after: nil, limit: 1_000_000) {
      rows[row.id] = try P.Row(fields: row.fields)
    }
    return rows
  }
}
