import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("Which sagas wait")
struct SagaSelectionTests {
  private let queries: SagaQueries
  private let now = History.start.adding(seconds: 1000)

  /// Two that charge since different moments, one that was blocked, one that is suspended before it
  /// began, one that was completed, one that was completed and is suspended.
  init() async throws {
    let history = History()
    let store = InMemoryReadModels()
    func move(_ key: String, _ type: String, _ state: String, _ more: Fields = [:]) async throws {
      var event = ProposedEvent.saga(type, state, of: try #require(OrderID(key)))
      for entry in more.entries { event.data[entry.key] = entry.value }
      try await history.append(event)
    }
    let input: Fields = ["input": ["position": 1, "type": "OrderInitiated"], "reason": "poison"]
    try await move("1", "SagaStarted", "reserving")
    try await move("2", "SagaStarted", "reserving")
    try await move("2", "SagaAdvanced", "charging")
    try await move("1", "SagaAdvanced", "charging")
    try await move("3", "SagaCompensationBlocked", "compensation_blocked")
    try await move("4", "SagaSuspended", "not_started", input)
    try await move("5", "SagaCompleted", "completed")
    try await move("6", "SagaCompleted", "completed")
    try await move("6", "SagaSuspended", "completed", input)
    try await drive(SagasProjection(), log: history.log, store: store)
    queries = SagaQueries(reader: ReadModelReader(store: store, board: ProjectionBoard()))
  }

  private func select(_ filter: SagaFilter, limit: Int = 10) async throws -> [String] {
    try await queries.select(filter, limit: limit, at: now).map {
      String($0.dropFirst("saga_order_".count))
    }
  }

  @Test("without a state all that have not ended, those first that have waited longest")
  func open() async throws {
    #expect(try await select(SagaFilter()) == ["2", "1", "3", "4", "6"])
    #expect(try await select(SagaFilter(), limit: 2) == ["2", "1"])
    #expect(try await queries.open().count == 5)
  }

  @Test("by state, by how long they have been in it, by definition")
  func filters() async throws {
    #expect(try await select(SagaFilter(state: "charging")) == ["2", "1"])
    #expect(try await select(SagaFilter(state: "completed")) == ["5", "6"])
    #expect(try await select(SagaFilter(state: "suspended")) == ["4", "6"])
    #expect(try await select(SagaFilter(state: "charging", olderThanSeconds: 997)) == ["2"])
    #expect(try await select(SagaFilter(state: "suspended", olderThanSeconds: 994)) == ["4"])
    #expect(try await select(SagaFilter(definition: "order-fulfilment.v1")).count == 5)
    #expect(try await select(SagaFilter(definition: "order-fulfilment.v2")).isEmpty)
  }

  @Test("counts and the oldest by state, for the metrics")
  func waiting() async throws {
    let waiting = try await queries.waiting()
    #expect(waiting.map(\.state) == SagaRow.openStates)
    let charging = try #require(waiting.first { $0.state == "charging" })
    #expect(charging.count == 2)
    #expect(charging.oldest == History.start.adding(seconds: 3))
    #expect(waiting.first { $0.state == "reserving" }?.count == 0)
    #expect(try await queries.suspendedCount() == 2)
  }

  @Test("a saga whose order was left out has ended, and an ended one that is suspended has not")
  func ends() async throws {
    let history = History()
    let input: Fields = ["position": 1, "type": "OrderInitiated"]
    for type in ["SagaSuspended", "SagaInputSkipped"] {
      var event = ProposedEvent.saga(type, "not_started")
      event.data["input"] = .object(input)
      event.data["reason"] = "poison"
      try await history.append(event)
      let row = try #require(try await history.row(History.order.sagaID, of: SagasProjection()))
      #expect(row.isEnded == (type == "SagaInputSkipped"))
      #expect((row.waitingFor == nil) == row.isEnded)
    }
  }
}
