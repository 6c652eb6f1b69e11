import Commerce
import EventSourcing
import Testing

@testable import API

@Suite("The event store over HTTP")
struct EventStoreRoutesTests {
  private static let v1 = "/event-store/api/v1"
  private static let store = v1 + "/events/store"

  private static func note(_ text: String, _ more: String = "") -> String {
    #"{"aggregate_type":"notes","aggregate_id":"a","event_type":"Noted","#
      + #""data":{"text":"\#(text)","weight":1.10}\#(more)}"#
  }

  @Test("the newest events come first, and the log's order follows a position")
  func listsEvents() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let head = try await api.log.head().rawValue
      let newest = try await client.get(Self.v1 + "/events?limit=3&offset=1")
      #expect(newest.position == head)
      #expect(
        try newest.events.map { try $0.integer("position") } == [head - 1, head - 2, head - 3])
      var seen: [Int64] = []
      var after: Int64? = 0
      while let from = after {
        let page = try await client.get(Self.v1 + "/events?limit=3&after=\(from)")
        seen += try page.events.map { try $0.integer("position") }
        after = try page.json.integerIfPresent("next_after")
      }
      #expect(seen == Array(1...head))
    }
  }

  @Test("an event shows its whole envelope, the same in both families")
  func envelope() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let id = try await client.placeOrder().data.string("order_id")
      let first = try await client.get(Self.v1 + "/events/aggregate/orders/\(id)")
      let event = try first.events.first.orThrow("no event")
      #expect(
        event.keys == [
          "event_id", "event_type", "aggregate_type", "aggregate_id", "timestamp", "version",
          "position", "correlation_id", "causation_id", "service_name", "data", "metadata",
        ])
      #expect(try event.integer("version") == 1)
      #expect(try event.object("data").string("order_id") == id)
      let short = try await client.get(
        "/event-store/events?aggregate_type=orders&aggregate_id=\(id.dropFirst(6))&order=asc")
      #expect(try short.events == first.events)
      #expect(
        try short.json.object("filters") == [
          "aggregate_type": "orders", "aggregate_id": .string(id),
        ])
    }
  }

  @Test("events are found by type, by aggregate and by correlation, with the trace")
  func filters() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let id = try await client.placeOrder().data.string("order_id")
      let order = try OrderID(id).orThrow("no order id")
      let correlation = try await api.log.stream(Orders.stream(id))[0].correlationID
      var context = api.context()
      context.correlationID = correlation
      try await api.shop.confirmOrder(order, context: context)

      let typed = try await client.get(Self.v1 + "/events/type/OrderInitiated")
      #expect(try typed.events.count == 1)
      let none = try await client.get(Self.v1 + "/events/type/Nothing")
      #expect(try none.events.isEmpty)
      let second = try await client.get(
        Self.v1 + "/events/aggregate/orders/\(id)?from_version=2")
      #expect(try second.events.map { try $0.string("event_type") } == ["OrderConfirmed"])
      #expect(try second.json.integer("version") == 2)
      let related = try await client.get(Self.v1 + "/events/correlation/\(correlation.text)")
      let trace = try related.json.objects("workflow_trace") { try $0.string("event_type") }
      #expect(trace == ["OrderInitiated", "OrderConfirmed"])
      for path in ["event_type=OrderInitiated", "correlation_id=\(correlation.text)"] {
        #expect(try await client.get("/event-store/events?\(path)").status == 200)
      }
      let both = try await client.get("/event-store/events?event_type=A&aggregate_type=b")
      #expect(both.status == 422)
    }
  }

  @Test("a replay gives every aggregate's state, now and in the past")
  func replays() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let id = try await client.placeOrder().data.string("order_id")
      try await api.shop.confirmOrder(OrderID(id).orThrow("no id"), context: api.context())
      let path = Self.v1 + "/replay/aggregate/orders/\(id)"
      let now = try await client.get(path).json
      #expect(try now.object("current_state").string("status") == "confirmed")
      #expect(try now.integer("version") == 2)
      let past = try await client.get(path + "?version=1").json
      #expect(try past.object("current_state").string("status") == "initiated")
      let late = try await client.get(path + "?at=2200-01-01T00:00:00Z").json
      #expect(try late.integer("version") == 2)
      #expect(try await client.get(path + "?at=2001-01-01").status == 404)
      #expect(try await client.get(path + "?version=3").status == 422)
      #expect(try await client.get(path + "?version=0").status == 422)

      for (name, field) in [
        ("inventory/101", "available_quantity"), ("products/101", "unit_price"),
        ("customers/456", "email"),
      ] {
        let replay = try await client.get(Self.v1 + "/replay/aggregate/\(name)").json
        #expect(try replay.object("current_state")[field] != nil, "\(name)")
      }
      let short = try await client.get(
        "/event-store/events/replay?aggregate_type=inventory&aggregate_id=101"
      ).json
      #expect(try short.object("current_state").integer("available_quantity") == 100)
      #expect(try short.objects("events") { $0 }.count == 1)
      #expect(try short.bool("events_truncated") == false)
    }
  }

  @Test("the story of an order: state, events, workflow, summary")
  func orderStory() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let id = try await client.placeOrder().data.string("order_id")
      let demo = try await client.get(Self.v1 + "/replay/demo/order/\(id.dropFirst(6))").json
      #expect(try demo.string("order_id") == id)
      #expect(try demo.objects("order_events") { $0 }.count == 1)
      #expect(try demo.objects("complete_workflow") { $0 }.count == 1)
      #expect(try demo.object("lifecycle_summary").string("status") == "initiated")
      let story = try await client.get("/event-store/events/demo/order-lifecycle").json
      #expect(try story.string("order_id") == id)
      #expect(try story.objects("timeline") { try $0.string("event_type") } == ["OrderInitiated"])
    }
  }

  @Test("the newest order's story is not fooled by an event of the same type by hand")
  func forgedStory() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      _ = try await client.post(
        Self.store,
        #"{"aggregate_type":"x","aggregate_id":"a","event_type":"OrderInitiated","data":{}}"#)
      #expect(try await client.get("/event-store/events/demo/order-lifecycle").status == 404)
    }
  }

  @Test("events by hand keep their versions, conflict, and stay readable")
  func manualEvents() async throws {
    try await APIUnderTest.run { api, client in
      let first = try await client.post(Self.store, Self.note("a", #","expected_version":0"#))
      #expect(first.status == 201)
      #expect(try first.json.integer("version") == 1)
      #expect(try first.json.integer("position") == first.position)
      let second = try await client.post(
        Self.store, Self.note("b", #","expected_version":1,"metadata":{"source_ip":"1.2.3.4"}"#))
      #expect(try second.json.integer("version") == 2)
      let head = try await api.log.head()
      for wrong in [0, 1, 3] {
        let refused = try await client.post(
          Self.store, Self.note("c", #","expected_version":\#(wrong)"#))
        #expect(refused.status == 409)
        #expect(try refused.problem == "/problems/version-conflict")
        #expect(try refused.json.integer("actual_version") == 2)
      }
      #expect(try await api.log.head() == head)
      let page = try await client.get(Self.v1 + "/events/aggregate/notes/a")
      #expect(page.text.contains(#""weight":1.10"#))
      let replay = try await client.get(Self.v1 + "/replay/aggregate/notes/a").json
      #expect(try replay.object("current_state").string("text") == "b")
    }
  }

  @Test("what is not in the log is 404, bad names are refused")
  func unknown() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      for (path, status, field) in [
        ("/events/aggregate/orders/order_1", 404, nil),
        ("/events/aggregate/orders/order_1?from_version=0", 422, "from_version"),
        ("/events/correlation/0f0e0d0c-0b0a-4908-8706-050403020100", 404, nil),
        ("/events/correlation/x", 422, "correlation_id"),
        ("/replay/aggregate/orders/order_1", 404, nil), ("/replay/demo/order/order_1", 404, nil),
        ("/events?after=-1", 422, "after"), ("/events?after=x", 400, "after"),
        ("/events?order=up", 422, "order"), ("/events?limit=1001", 422, "limit"),
        ("/events/type/a%20b", 422, "event_type"), ("/nothing", 404, nil),
      ] as [(String, Int, String?)] {
        let answer = try await client.get(Self.v1 + path)
        #expect(answer.status == status, "\(path): \(answer.text)")
        #expect(try answer.field == field, "\(path)")
      }
      let missing = try await client.get("/event-store/events/replay?aggregate_id=x")
      #expect(missing.status == 400)
      #expect(try missing.field == "aggregate_type")
    }
  }

  @Test("statistics agree with the log")
  func statistics() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let head = try await api.log.head().rawValue
      let long = try await client.get(Self.v1 + "/statistics").json
      let short = try await client.get("/event-store/events/statistics").json
      #expect(try long.integer("total_events") == head)
      #expect(try short.integer("total_events") == head)
      let counts = try short.objects("by_type") { try $0.integer("count") }
      #expect(counts.reduce(0, +) == head)
    }
  }
}

extension APIAnswer {
  var events: [Fields] { get throws { try json.objects("events") { $0 } } }
}
