import Commerce
import EventSourcing
import Testing

@testable import Projections

/// What people append by hand.
@Suite("foreign events")
struct ForeignEventsTests {
  @Test("events of unknown types and in unknown categories touch no row")
  func ignored() async throws {
    let history = History()
    let types = [
      "OrderInitiated", "StockReserved", "PaymentProcessed", "SagaStarted", "ProductAdded",
      "CustomerRegistered",
    ]
    for type in types {
      try await history.append(
        ProposedEvent(
          stream: StreamName(category: "elsewhere", id: "1"), type: type,
          data: ["order_id": "order_1", "shape": "another"]))
    }
    let categories = [
      "orders", "inventory", "payments", "notifications", "products", "customers", "sagas",
    ]
    for category in categories {
      try await history.append(
        ProposedEvent(
          stream: StreamName(category: category, id: "1"), type: "OrderTeleported",
          data: ["order_id": 1]))
    }
    for projection in ReadModels.all {
      #expect(try await isEmpty(projection, history), "\(projection.name)")
    }
  }

  private func isEmpty<P: Projection>(_ projection: P, _ history: History) async throws -> Bool {
    try await history.rows(of: projection).isEmpty
  }

  @Test(
    "a known type in its own stream that cannot be read is poison",
    arguments: [
      ("orders", "OrderInitiated", "orders"), ("orders", "OrderInitiated", "statistics"),
      ("orders", "OrderInitiated", "user_summaries"), ("payments", "PaymentProcessed", "orders"),
      ("inventory", "StockReserved", "orders"), ("inventory", "StockRestocked", "stock"),
      ("products", "ProductAdded", "stock"), ("customers", "CustomerRegistered", "user_summaries"),
      ("sagas", "SagaStarted", "sagas"), ("orders", "OrderInitiated", "choreographies"),
      ("inventory", "StockReserved", "choreographies"),
    ])
  func poison(category: String, type: String, projection: String) async throws {
    let history = History()
    history.isChoreographed = projection == "choreographies"
    try await history.append(
      ProposedEvent(
        stream: StreamName(category: category, id: "1"), type: type, data: ["shape": "another"]))
    let readModel = try #require(ReadModels.all.first { $0.name == projection })
    await #expect(throws: FieldError.self) { try await isEmpty(readModel, history) }
  }

  @Test("a known type of a later schema is poison, not skipped")
  func laterSchema() async throws {
    let history = History()
    var event = ProposedEvent.initiated()
    event.schema = 2
    try await history.append(event)
    await #expect(throws: UnknownEvent.self) {
      try await history.rows(of: OrdersProjection())
    }
  }

  @Test("an event of an earlier schema makes the same rows as today's")
  func earlierSchema() async throws {
    var old = ProposedEvent.confirmed()
    old.schema = 1
    old.data["items"] = nil
    let histories = [History(), History()]
    for (history, confirmation) in zip(histories, [old, .confirmed()]) {
      try await history.append(.initiated())
      try await history.append(confirmation)
    }
    #expect(
      try await histories[0].rows(of: OrdersProjection()).mapValues(\.json)
        == histories[1].rows(of: OrdersProjection()).mapValues(\.json))
    let totals = try await histories[0].rows(of: StatisticsProjection())["total"]
    #expect(totals?.json["confirmed_orders"] == 1)
  }

  @Test("poison stops the read model where it stands, and says why")
  func poisonStops() async throws {
    let history = History()
    try await history.append(.initiated())
    try await history.append(
      ProposedEvent(
        stream: Orders.stream("order_1"), type: "OrderConfirmed",
        data: ["order_id": .string(History.order.text)]))
    let store = InMemoryReadModels()
    let board = ProjectionBoard()
    try await drive(
      OrdersProjection(), log: history.log, store: store, board: board, batchCommitsMax: 1)
    let failure = try #require(try await store.progress(of: "orders")?.failure)
    #expect(failure.contains("stopped at position 2"))
    #expect(board.status(of: "orders")?.progress == nil, "a driver that has ended stands nowhere")
    #expect(try await store.progress(of: "orders")?.position == Position(1))
    #expect(try await store.load([History.order.text], from: "orders__v1").count == 1)
  }
}
