import Commerce
import EventSourcing
import Hummingbird
import Projections
import Testing

@testable import API

@Suite("Queries over HTTP")
struct QueryRoutesTests {
  @Test("an order is found with and without its prefix, in the envelope of queries")
  func findsOrder() async throws {
    try await APIUnderTest.run { _, client in
      let placed = try await client.placeOrder(quantity: 2)
      let id = try placed.data.string("order_id")
      let position = try placed.position.orThrow("no position")
      for name in [id, String(id.dropFirst(6))] {
        let answer = try await client.get("/cqrs/queries/orders/\(name)?min_position=\(position)")
        #expect(answer.status == 200)
        #expect(try answer.json.keys == ["success", "query_id", "data", "count", "error"])
        #expect(try answer.json.integer("count") == 1)
        #expect(try answer.data.string("order_id") == id)
        #expect(try answer.data.string("status") == "initiated")
        #expect(try answer.data.decimal("total_amount").description == "399.98")
        #expect(try answer.position.orThrow("no position") >= position)
      }
    }
  }

  @Test("one reads one's own writes, named by parameter or by header")
  func readsOwnWrites() async throws {
    try await APIUnderTest.run { _, client in
      for _ in 0..<20 {
        let placed = try await client.placeOrder()
        let id = try placed.data.string("order_id")
        let position = try placed.position.orThrow("no position")
        let answer = try await client.get(
          "/cqrs/queries/orders/\(id)", headers: [.magasinPosition: "\(position)"])
        #expect(answer.status == 200)
      }
    }
  }

  @Test("a position that the read model does not reach in time is 503, never an old answer")
  func readModelBehind() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.minimumPositionWaitMax = .milliseconds(30)
    try await api.run(projecting: false) { _, client in
      for path in [
        "/cqrs/queries/orders/order_1", "/cqrs/queries/orders/order_1?at=2026-01-01",
        "/cqrs/queries/orders/recent", "/cqrs/queries/orders/recent?at=2026-01-01",
        "/cqrs/queries/orders/status/paid", "/cqrs/queries/inventory",
        "/cqrs/queries/inventory/101", "/cqrs/queries/inventory/low-stock",
        "/cqrs/queries/statistics/orders", "/cqrs/queries/users/456/orders",
        "/cqrs/queries/users/456/orders?at=2026-01-01", "/cqrs/queries/users/456/summary",
        "/cqrs/queries/customers/top", "/sagas", "/saga/order_1", "/saga/order/order_1",
      ] {
        for method in [HTTPRequest.Method.get, .head] {
          let answer = try await client.send(
            method, path, headers: [.magasinPosition: "1"], body: nil)
          #expect(answer.status == 503, "\(method) \(path)")
          #expect(answer.position == 0, "\(path)")
        }
        let answer = try await client.get(
          path + (path.contains("?") ? "&" : "?") + "min_position=1")
        #expect(answer.status == 503, "\(path)")
        #expect(try answer.problem == "/problems/read-model-behind")
        #expect(try answer.json.integer("position") == 0)
        #expect(answer.response.headers[.retryAfter] == "1")
      }
    }
  }

  @Test("a customer is not called unknown by a read model that is behind")
  func unknownTooEarly() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.minimumPositionWaitMax = .milliseconds(500)
    try await api.run(projecting: false) { api, client in
      let orders = Task { try await api.drive(OrdersProjection()) }
      defer { orders.cancel() }
      for query in ["", "&at=2100-01-01"] {
        let path = "/cqrs/queries/users/456/orders?min_position=1" + query
        let answer = try await client.get(path)
        #expect(answer.status == 503, "\(path): \(answer.text)")
      }
    }
  }

  @Test("the event store is read up to the position that is asked for, too")
  func logBehind() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.minimumPositionWaitMax = .milliseconds(30)
    try await api.run(projecting: false) { api, client in
      let head = try await api.log.head().rawValue
      let correlation = try await api.log.events(at: [Position(1)])[0].correlationID
      for path in [
        "/event-store/api/v1/events", "/event-store/api/v1/events/type/ProductAdded",
        "/event-store/api/v1/events/aggregate/products/101",
        "/event-store/api/v1/events/correlation/\(correlation)",
        "/event-store/api/v1/replay/aggregate/products/101", "/event-store/api/v1/statistics",
        "/event-store/events", "/event-store/events/statistics",
        "/event-store/events/replay?aggregate_type=products&aggregate_id=101",
      ] {
        let mark = path.contains("?") ? "&" : "?"
        #expect(try await client.get("\(path)\(mark)min_position=\(head)").status == 200, "\(path)")
        let answer = try await client.get(
          path, headers: [.magasinPosition: "\(head + 1)"])
        #expect(answer.status == 503, "\(path)")
        #expect(try answer.problem == "/problems/read-model-behind")
        #expect(answer.position == head)
      }
    }
  }

  @Test("a read of the log waits for the position that is asked for")
  func waitsForLog() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let head = try await api.log.head().rawValue
      async let answer = client.get(
        "/event-store/api/v1/events?limit=1&min_position=\(head + 1)")
      try await Task.sleep(for: .milliseconds(50))
      _ = try await client.placeOrder()
      #expect(try await answer.status == 200)
    }
  }

  @Test("words are not taken for ids: recent, status, low-stock")
  func shadowing() async throws {
    try await APIUnderTest.run { _, client in
      let position = try await client.placeOrder().position.orThrow("no position")
      let recent = try await client.get("/cqrs/queries/orders/recent?min_position=\(position)")
      #expect(recent.status == 200)
      #expect(try recent.rows.count == 1)
      let open = try await client.get("/cqrs/queries/orders/status/INITIATED")
      #expect(try open.rows.count == 1)
      let confirmed = try await client.get("/cqrs/queries/orders/status/confirmed")
      #expect(try confirmed.rows.isEmpty)
      let low = try await client.get("/cqrs/queries/inventory/low-stock?min_position=\(position)")
      #expect(low.status == 200)
      #expect(try low.rows.isEmpty)
    }
  }

  @Test("lists page without a seam")
  func pages() async throws {
    try await APIUnderTest.run { _, client in
      var position: Int64 = 0
      for _ in 0..<5 { position = try await client.placeOrder().position ?? 0 }
      var seen: [String] = []
      var cursor = ""
      repeat {
        let answer = try await client.get(
          "/cqrs/queries/orders/recent?limit=2&min_position=\(position)\(cursor)")
        seen += try answer.rows.map { try $0.string("order_id") }
        cursor = try answer.json.stringIfPresent("next_cursor").map { "&cursor=\($0)" } ?? ""
      } while !cursor.isEmpty
      #expect(seen.count == 5)
      #expect(Set(seen).count == 5)
    }
  }

  @Test("stock, customers and statistics show what was done")
  func otherReadModels() async throws {
    try await APIUnderTest.run { api, client in
      let placed = try await client.placeOrder(quantity: 2)
      let id = try OrderID(placed.data.string("order_id")).orThrow("no order id")
      try await api.shop.confirmOrder(id, context: api.context())
      let position = try await api.log.head().rawValue
      func get(_ path: String) async throws -> APIAnswer {
        let mark = path.contains("?") ? "&" : "?"
        return try await client.get("/cqrs/queries/\(path)\(mark)min_position=\(position)")
      }
      #expect(try await get("inventory").rows.count == 3)
      #expect(try await get("inventory/101").data.integer("available_quantity") == 100)
      #expect(try await get("users/456/orders").rows.count == 1)
      #expect(try await get("users/456/orders?status=cancelled").rows.isEmpty)
      #expect(try await get("users/456/summary").data.integer("total_orders") == 1)
      #expect(try await get("customers/top").rows.count == 1)
      let statistics = try await get("statistics/orders?start_date=2020-01-01").data
      #expect(try statistics.integer("total_orders") == 1)
      #expect(try statistics.decimal("total_revenue").description == "399.98")
    }
  }

  @Test("what does not exist is 404 and names the path's field")
  func unknown() async throws {
    try await APIUnderTest.run { _, client in
      for (path, field) in [
        ("orders/order_nope", "order_id"), ("inventory/999", "product_id"),
        ("inventory/0", "product_id"), ("inventory/2147483648", "product_id"),
        ("users/999/summary", "user_id"), ("users/999/orders", "user_id"),
      ] {
        let answer = try await client.get("/cqrs/queries/\(path)")
        #expect(answer.status == 404, "\(path)")
        #expect(try answer.field == field, "\(path)")
      }
    }
  }

  @Test("bad parameters are refused by name")
  func badParameters() async throws {
    try await APIUnderTest.run { _, client in
      for (path, status, field) in [
        ("orders/recent?limit=0", 422, "limit"), ("orders/recent?limit=201", 422, "limit"),
        ("orders/recent?limit=ten", 400, "limit"), ("orders/recent?limit=1&limit=2", 422, "limit"),
        ("orders/recent?cursor=zz", 422, "cursor"), ("orders/status/lost", 422, "status"),
        ("orders/a%20b", 422, "order_id"), ("inventory/abc", 400, "product_id"),
        ("users/456/orders?status=lost", 422, "status"),
        ("statistics/orders?start_date=yesterday", 422, "start_date"),
        ("statistics/orders?start_date=2026-02-02&end_date=2026-02-01", 422, "end_date"),
        ("orders/recent?min_position=-1", 422, "min_position"),
        ("orders/recent?min_position=x", 400, "min_position"),
        ("customers/top?currency=XXX", 422, "currency"),
      ] {
        let answer = try await client.get("/cqrs/queries/\(path)")
        #expect(answer.status == status, "\(path): \(answer.text)")
        #expect(try answer.field == field, "\(path)")
      }
    }
  }

  @Test("the routes of a role that a process does not have do not exist")
  func roles() async throws {
    var commands = try await APIUnderTest.seeded()
    commands.services.reader = nil
    try await commands.run { _, client in
      let inventory = try await client.get("/cqrs/queries/inventory")
      #expect(inventory.status == 404)
      #expect(try await client.get("/sagas").status == 404)
      #expect(try await client.placeOrder().status == 202)
    }
    var queries = try await APIUnderTest.seeded()
    queries.services.shop = nil
    queries.services.servesEventStore = false
    try await queries.run { _, client in
      let answer = try await client.placeOrder()
      #expect(answer.status == 404)
      #expect(try answer.problem == "/problems/unknown-route")
      #expect(try await client.get("/event-store/api/v1/events").status == 404)
      #expect(try await client.get("/projections").status == 404)
      #expect(try await client.get("/cqrs/queries/inventory").status == 200)
    }
  }
}
