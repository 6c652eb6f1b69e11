import Commerce
import EventSourcing
import EventSourcingTesting
import Testing

@testable import API

@Suite("Snapshots over HTTP")
struct SnapshotRoutesTests {
  private static let path = "/event-store/events/snapshots"

  private static func body(_ category: String, _ id: String) -> String {
    #"{"aggregate_type":"\#(category)","aggregate_id":"\#(id)"}"#
  }

  @Test("one is taken of every kind of aggregate, and shown")
  func takes() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let order = try await client.placeOrder().data.string("order_id")
      try await api.shop.takePayment(
        order: try OrderID(order).orThrow("no order id"), user: APIUnderTest.customer,
        amount: Money(minorUnits: 19_999, currency: .cad), method: "card", effectID: "e",
        context: api.context())
      _ = try await client.post(
        "/event-store/api/v1/events/store",
        #"{"aggregate_type":"notes","aggregate_id":"a","event_type":"Noted","data":{"text":"x"}}"#)
      for (category, id, version) in [
        ("inventory", "101", 1), ("orders", order, 1), ("products", "103", 2),
        ("customers", "456", 1), ("payments", "payment_" + order.dropFirst(6), 1),
        ("notes", "a", 1),
      ] as [(String, String, Int64)] {
        let replay = "/event-store/api/v1/replay/aggregate/\(category)/\(id)"
        let before = try await client.get(replay).json
        let missing = try await client.get("\(Self.path)/\(category)/\(id)")
        #expect(missing.status == 404)
        let taken = try await client.post(Self.path, Self.body(category, id))
        #expect(taken.status == 201, "\(taken.text)")
        #expect(taken.response.headers[.location] == "\(Self.path)/\(category)/\(id)")
        #expect(try taken.json.integer("version") == version)
        #expect(try taken.json.integer("position") == taken.position)
        let shown = try await client.get("\(Self.path)/\(category)/\(id)").json
        #expect(try shown.string("event_id") == taken.json.string("event_id"))
        #expect(try !shown.object("state").isEmpty)
        let again = try await client.post(Self.path, Self.body(category, id))
        #expect(try again.json == taken.json)
        let after = try await client.get(replay).json
        #expect(try after.object("current_state") == before.object("current_state"))
        #expect(after.keys == before.keys)
      }
      // With and without the prefix it is the same order.
      let short = try await client.get("\(Self.path)/orders/\(order.dropFirst(6))")
      #expect(short.status == 200)
    }
  }

  @Test("a replay from a snapshot shows the events before it too, and its first one")
  func replays() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      for _ in 0..<9 {
        try await api.shop.restock(APIUnderTest.laptop, quantity: 1, context: api.context())
      }
      let replay = "/event-store/events/replay?aggregate_type=inventory&aggregate_id=101"
      let before = try await client.get(replay).json
      let pastBefore = try await client.get(replay + "&version=4").json
      #expect(try await client.post(Self.path, Self.body("inventory", "101")).status == 201)
      try await api.shop.restock(APIUnderTest.laptop, quantity: 5, context: api.context())
      let after = try await client.get(replay).json
      #expect(try after.objects("events") { try $0.integer("version") } == Array(1...11))
      #expect(try after.bool("events_truncated") == false)
      let available = try before.object("current_state").integer("available_quantity")
      #expect(
        try after.object("current_state").integer("available_quantity") == available + 5)
      let past = try await client.get(replay + "&version=4").json
      #expect(try past.object("current_state") == pastBefore.object("current_state"))
      #expect(try past.objects("events") { $0 }.count == 4)
      #expect(try await client.get(replay + "&version=12").status == 422)
      #expect(try await client.get(replay + "&at=2001-01-01").status == 404)

      let order = try await client.placeOrder().data.string("order_id")
      let demo = "/event-store/api/v1/replay/demo/order/\(order)"
      let story = try await client.get(demo).json
      #expect(try await client.post(Self.path, Self.body("orders", order)).status == 201)
      #expect(try await client.get(demo).json == story)
    }
  }

  @Test("a snapshot that does not fit the log changes no answer")
  func unfit() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let replay = "/event-store/api/v1/replay/aggregate/inventory/101"
      let before = try await client.get(replay).json.object("current_state")
      let stream = Inventory.stream("101")
      for version in [1, 5] as [Int64] {
        try await api.services.snapshots.removeAll()
        _ = try await api.services.snapshots.save(
          SnapshotConformance.snapshot(
            stream, at: version, schema: Inventory.snapshotSchema,
            state: Inventory.snapshot(of: Stock())))
        #expect(try await client.get(replay).json.object("current_state") == before)
        #expect(try await client.get("\(Self.path)/\(stream)").status == 404)
      }
    }
  }

  @Test("they are listed page by page, without their states")
  func lists() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let empty = try await client.get(Self.path).json
      #expect(empty == ["snapshots": [], "count": 0, "next_cursor": .null])
      for id in ["101", "102", "103"] {
        #expect(try await client.post(Self.path, Self.body("products", id)).status == 201)
      }
      let first = try await client.get(Self.path + "?limit=2").json
      #expect(try first.objects("snapshots") { try $0.string("aggregate_id") } == ["101", "102"])
      #expect(try first.objects("snapshots") { $0 }.allSatisfy { $0["state"] == nil })
      let cursor = try first.string("next_cursor")
      let second = try await client.get(Self.path + "?limit=2&cursor=\(cursor)").json
      #expect(try second.objects("snapshots") { try $0.string("aggregate_id") } == ["103"])
      #expect(second["next_cursor"] == .null)
      #expect(try await client.get(Self.path + "?cursor=x").field == "cursor")
      let noStream = PageCursor(sortValue: .null, id: "no stream").token
      #expect(try await client.get(Self.path + "?cursor=\(noStream)").field == "cursor")
    }
  }

  @Test("what cannot be kept is refused with the field's name")
  func refuses() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      for (body, status, field) in [
        (Self.body("orders", "order_1"), 404, nil), ("{}", 400, "aggregate_type"),
        (#"{"aggregate_type":"orders"}"#, 400, "aggregate_id"),
        (Self.body("or ders", "a"), 422, "aggregate_type"),
        (Self.body("orders", "../a"), 422, "aggregate_id"),
        (#"{"aggregate_type":"orders","aggregate_id":"a","version":1}"#, 400, "version"),
      ] as [(String, Int, String?)] {
        let answer = try await client.post(Self.path, body)
        #expect(answer.status == status, "\(body): \(answer.text)")
        #expect(try answer.field == field, "\(body)")
      }
    }
  }
}
