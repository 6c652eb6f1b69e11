import Commerce
import EventSourcing
import Hummingbird
import Testing

@testable import API

@Suite("Orders of the past over HTTP")
struct PastOrdersRoutesTests {
  private static let base = "/cqrs/queries"

  /// Places an order, reserves its stock and confirms it, a moment apart; the position of each.
  private func confirmedOrder(
    _ api: APIUnderTest, _ client: APIClient
  ) async throws -> (id: String, positions: [Int64], placedAt: String) {
    let placed = try await client.placeOrder(quantity: 2)
    let id = try placed.data.string("order_id")
    let order = try OrderID(id).orThrow("no order id")
    let first = try placed.position.orThrow("no position")
    // Timestamps are of whole milliseconds: these two must differ.
    try await Task.sleep(for: .milliseconds(5))
    let reserved = try await api.shop.reserveStock(
      order: order, lines: [(APIUnderTest.laptop, 2)], context: api.context())
    try await Task.sleep(for: .milliseconds(5))
    try await api.shop.confirmOrder(order, context: api.context())
    let placedAt = try await api.log.events(at: [Position(first)])[0].timestamp.iso8601
    return (
      id,
      [
        first, try reserved.commit.orThrow("nothing reserved").header.lastPosition.rawValue,
        try await api.log.head().rawValue,
      ], placedAt
    )
  }

  @Test("an order is shown as it was after any of its own events")
  func version() async throws {
    try await APIUnderTest.run { api, client in
      let (id, positions, placedAt) = try await confirmedOrder(api, client)
      let first = try await client.get("\(Self.base)/orders/\(id)?version=1")
      #expect(first.status == 200)
      #expect(
        try first.json.keys == ["success", "query_id", "data", "count", "error", "as_of"])
      #expect(try first.data.string("status") == "initiated")
      #expect(try first.data["reservation"] == .null)
      #expect(try first.data.array("timeline").count == 1)
      #expect(try first.data["changed_by"] == nil)
      let asOf = try first.json.object("as_of")
      #expect(try asOf.integer("position") == positions[0])
      #expect(try asOf.integer("version") == 1)
      #expect(try asOf.string("timestamp") == placedAt)
      // The version is looked up in the log, so the row has come as far.
      let second = try await client.get("\(Self.base)/orders/\(id.dropFirst(6))?version=2")
      #expect(try second.data.string("status") == "confirmed")
      #expect(try second.position.orThrow("no position") >= positions[2])
      let now = try await client.get("\(Self.base)/orders/\(id)")
      #expect(try now.data == second.data)
      #expect(try now.json["as_of"] == nil)
    }
  }

  @Test("an order is shown as it was at a moment, and so are lists")
  func moment() async throws {
    try await APIUnderTest.run { api, client in
      let (id, positions, placedAt) = try await confirmedOrder(api, client)
      for _ in 0..<3 { _ = try await client.placeOrder() }
      let head = try await api.log.head()
      let order = try await client.get(
        "\(Self.base)/orders/\(id)?at=\(placedAt)&min_position=\(head)")
      #expect(order.status == 200)
      #expect(try order.data.string("status") == "initiated")
      #expect(try order.position.orThrow("no position") >= head.rawValue)
      for list in ["orders/recent", "users/456/orders"] {
        let then = try await client.get("\(Self.base)/\(list)?at=\(placedAt)")
        #expect(try then.rows == [order.data], "\(list)")
        #expect(
          try then.json.keys
            == ["success", "query_id", "data", "count", "error", "next_cursor", "as_of"])
        #expect(try then.json.object("as_of").integer("position") == positions[0])
        #expect(try then.json.object("as_of").keys == ["position", "timestamp"])
        let empty = try await client.get("\(Self.base)/\(list)?at=2020-01-01T00:00:00Z")
        #expect(empty.status == 200)
        #expect(try empty.rows.isEmpty)
        #expect(try empty.json["as_of"] == .null)
        #expect(try await walk(client, "\(Self.base)/\(list)?at=2100-01-01&limit=3") == 4)
      }
      let later = try await client.get("\(Self.base)/orders/\(id)?at=2100-01-01")
      #expect(try later.data.string("status") == "confirmed")
    }
  }

  private func walk(_ client: APIClient, _ path: String) async throws -> Int {
    var seen: Set<String> = []
    var cursor = ""
    repeat {
      let answer = try await client.get(path + cursor)
      for row in try answer.rows { seen.insert(try row.string("order_id")) }
      cursor = try answer.json.stringIfPresent("next_cursor").map { "&cursor=\($0)" } ?? ""
    } while !cursor.isEmpty
    return seen.count
  }

  @Test("what the past does not have is a clear answer that names the parameter")
  func badMoments() async throws {
    try await APIUnderTest.run { api, client in
      let (id, _, _) = try await confirmedOrder(api, client)
      for (query, status, problem, field) in [
        ("at=2020-01-01T00:00:00Z", 404, "not-found", "at"),
        ("version=3", 422, "invalid-value", "version"),
        ("version=0", 422, "invalid-value", "version"),
        ("version=one", 400, "wrong-type", "version"),
        ("at=yesterday", 422, "invalid-value", "at"),
        ("at=2026-01-01&version=1", 400, "unsupported", "version"),
        ("version=1&version=2", 422, "invalid-value", "version"),
      ] {
        let head = try await api.log.head()
        let answer = try await client.get(
          "\(Self.base)/orders/\(id)?\(query)&min_position=\(head)")
        #expect(answer.status == status, "\(query): \(answer.text)")
        #expect(try answer.problem == "/problems/\(problem)", "\(query)")
        #expect(try answer.field == field, "\(query)")
      }
      for query in ["at=2100-01-01", "version=1"] {
        let answer = try await client.get("\(Self.base)/orders/order_nope?\(query)")
        #expect(answer.status == 404)
        #expect(try answer.field == "order_id")
      }
      let nobody = try await client.get("\(Self.base)/users/999/orders?at=2100-01-01")
      #expect(nobody.status == 404)
      #expect(try nobody.field == "user_id")
    }
  }

  @Test("queries without a past say so, they do not answer with the present")
  func unsupported() async throws {
    try await APIUnderTest.run { _, client in
      for (path, names) in [
        ("/cqrs/queries/orders/recent", ["version"]),
        ("/cqrs/queries/users/456/orders", ["version"]),
        ("/cqrs/queries/orders/status/confirmed", ["at", "version"]),
        ("/cqrs/queries/users/456/summary", ["at", "version"]),
        ("/cqrs/queries/customers/top", ["at", "version"]),
        ("/cqrs/queries/inventory", ["at", "version"]),
        ("/cqrs/queries/inventory/low-stock", ["at", "version"]),
        ("/cqrs/queries/inventory/101", ["at", "version"]),
        ("/cqrs/queries/statistics/orders", ["at", "version"]),
        ("/sagas", ["at", "version"]), ("/saga/saga_order_1", ["at", "version"]),
        ("/saga/order/order_1", ["at", "version"]),
      ] {
        for name in names {
          let answer = try await client.get("\(path)?\(name)=\(name == "at" ? "2026-01-01" : "1")")
          #expect(answer.status == 400, "\(path) \(name): \(answer.text)")
          #expect(try answer.problem == "/problems/unsupported", "\(path) \(name)")
          #expect(try answer.field == name, "\(path)")
        }
      }
      let mixed = try await client.get(
        "/cqrs/queries/users/456/orders?status=confirmed&at=2026-01-01")
      #expect(mixed.status == 400)
      #expect(try mixed.field == "at")
    }
  }

  @Test("a version that the read model has not reached is 503, with where it stands")
  func versionBehind() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.minimumPositionWaitMax = .milliseconds(30)
    try await api.run(projecting: false) { _, client in
      let id = try await client.placeOrder().data.string("order_id")
      let answer = try await client.get("\(Self.base)/orders/\(id)?version=1")
      #expect(answer.status == 503)
      #expect(try answer.problem == "/problems/read-model-behind")
      #expect(answer.position == 0)
    }
  }

  @Test("the cursor of a list that is sorted otherwise is refused")
  func foreignCursor() async throws {
    try await APIUnderTest.run { api, client in
      var position: Int64 = 0
      for _ in 0..<2 { position = try await client.placeOrder().position ?? 0 }
      let seen = "&min_position=\(position)"
      let now = try await client.get("\(Self.base)/orders/recent?limit=1\(seen)").json.string(
        "next_cursor")
      let then = try await client.get(
        "\(Self.base)/orders/recent?limit=1&at=2100-01-01\(seen)"
      ).json.string("next_cursor")
      let null = PageCursor(sortValue: .null, id: "order_1").token
      for path in [
        "orders/recent?at=2100-01-01&cursor=\(now)", "orders/recent?cursor=\(then)",
        "users/456/orders?cursor=\(then)", "inventory?cursor=\(then)",
        "customers/top?cursor=\(then)", "orders/status/initiated?cursor=\(then)",
        "orders/recent?cursor=\(null)", "orders/recent?at=2100-01-01&cursor=\(null)",
      ] {
        let answer = try await client.get("\(Self.base)/\(path)")
        #expect(answer.status == 400, "\(path)")
        #expect(try answer.field == "cursor", "\(path)")
      }
      #expect(try await client.get("/sagas?cursor=\(then)").status == 400)
    }
  }
}
