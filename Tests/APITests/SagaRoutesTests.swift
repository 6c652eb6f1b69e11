import Commerce
import EventSourcing
import Hummingbird
import Testing

@testable import API

@Suite("Sagas over HTTP")
struct SagaRoutesTests {
  @Test("placing an order by either path names its saga")
  func starts() async throws {
    try await APIUnderTest.run { api, client in
      let order = try await client.post(
        "/saga/order", #"{"user_id":456,"items":[{"product_id":101,"quantity":1}]}"#)
      #expect(order.status == 202)
      #expect(
        try order.data.string("saga_id") == "saga_" + order.data.string("order_id"))
      let started = try await client.post(
        "/start-saga",
        #"{"customer_id":456,"product_id":101,"store_id":1,"quantity":1,"cart_id":7}"#)
      #expect(started.status == 202)
      let json = try started.json
      #expect(try json.string("saga_id") == "saga_" + json.string("order_id"))
      #expect(try json.string("status") == "started")
      #expect(started.response.headers[.location] == "/saga/\(try json.string("saga_id"))")
      #expect(
        try await api.log.version(of: Orders.stream(json.string("order_id"))) == Version(1))
    }
  }

  @Test("a saga is found by its id and its order's, with the reference's names")
  func shows() async throws {
    try await APIUnderTest.run { api, client in
      let order = try OrderID("order_7").orThrow("no order id")
      let position = try await api.startSaga(of: order)
      for path in [
        "/saga/saga_order_7", "/saga/order_7", "/saga/7", "/saga/order/order_7", "/saga/order/7",
      ] {
        let answer = try await client.get(path + "?min_position=\(position)")
        #expect(answer.status == 200, "\(path)")
        let json = try answer.json
        #expect(try json.string("saga_id") == "saga_order_7")
        #expect(try json.string("state") == "reserving")
        #expect(try json.string("current_state") == "reserving")
        #expect(try json.string("saga_status") == "in_progress")
        #expect(try json.integer("steps_count") == 1)
        #expect(try json.integer("completed_steps") == 0)
        #expect(try json.bool("is_complete") == false)
        #expect(json["error_message"] == .null)
      }
      let listed = try await client.get("/sagas?state=reserving").json
      #expect(try listed.integer("count") == 1)
      #expect(try await client.get("/sagas?state=completed").json.integer("count") == 0)
      #expect(try await client.get("/sagas").json.objects("sagas") { $0 }.count == 1)
    }
  }

  @Test("a choreographed order is found where sagas are, and lists say which they show")
  func choreographed() async throws {
    try await APIUnderTest.run { api, client in
      let conducted = try OrderID("order_7").orThrow("no order id")
      _ = try await api.startSaga(of: conducted)
      let placed = try await client.post(
        "/cqrs/commands/orders",
        #"{"user_id":456,"product_id":101,"quantity":1,"saga":"choreographed"}"#)
      #expect(placed.status == 202)
      let order = try placed.data.string("order_id")
      let position = try placed.position.orThrow("no position")
      for path in ["/saga/saga_\(order)", "/saga/order/\(order)"] {
        let json = try await client.get("\(path)?min_position=\(position)").json
        #expect(try json.string("definition") == "order-fulfilment.choreographed.v1")
        #expect(try json.string("current_state") == "reserving")
        #expect(try json.string("saga_status") == "in_progress")
        #expect(try json.bool("is_stuck") == false)
      }
      let all = "/sagas?min_position=\(position)"
      #expect(try await client.get(all).json.integer("count") == 2)
      let first = try await client.get(all + "&limit=1").json
      #expect(try first.objects("sagas") { try $0.string("order_id") } == [order])
      let second = try await client.get(
        all + "&limit=1&cursor=\(try first.string("next_cursor"))"
      ).json
      #expect(try second.objects("sagas") { try $0.string("order_id") } == ["order_7"])
      for (saga, expected) in [("choreographed", order), ("orchestrated", "order_7")] {
        let listed = try await client.get(all + "&saga=\(saga)").json
        #expect(try listed.objects("sagas") { try $0.string("order_id") } == [expected])
      }
      let strange = try await client.get("/sagas?saga=improvised")
      #expect(strange.status == 422)
      #expect(try strange.field == "saga")
    }
  }

  @Test("unknown sagas are 404, strange states are refused")
  func unknown() async throws {
    try await APIUnderTest.run { _, client in
      #expect(try await client.get("/saga/nope").status == 404)
      #expect(try await client.get("/saga/order/nope").status == 404)
      let strange = try await client.get("/sagas?state=%7B%22$gt%22:%22%22%7D")
      #expect(strange.status == 422)
      #expect(try strange.field == "state")
    }
  }
}
