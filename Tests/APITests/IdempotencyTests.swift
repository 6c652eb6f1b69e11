import Commerce
import EventSourcing
import Testing

@testable import API

@Suite("The same Idempotency-Key does a command once")
struct IdempotencyTests {
  @Test("fifty at once place one order and get fifty equal answers")
  func fiftyAtOnce() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let head = try await api.log.head()
      let answers = try await withThrowingTaskGroup(of: APIAnswer.self) { group in
        for _ in 0..<50 { group.addTask { try await client.placeOrder(key: "fifty") } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count == 50)
      #expect(Set(answers.map(\.text)).count == 1)
      #expect(Set(answers.map(\.status)) == [202])
      #expect(Set(answers.map(\.position)).count == 1)
      #expect(try await api.log.head() == head + 1)
    }
  }

  @Test("the answer stays the same when the order has moved on and the product is retired")
  func laterRepeats() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let first = try await client.placeOrder(key: "later")
      let id = try OrderID(first.data.string("order_id")).orThrow("no order id")
      try await api.shop.confirmOrder(id, context: api.context())
      try await api.shop.products.handle(.retire, on: "101", context: api.context())
      let second = try await client.placeOrder(key: "later")
      #expect(second.status == 202)
      #expect(second.text == first.text)
      #expect(second.position == first.position)
    }
  }

  @Test("another payload under the same key is refused, another order of the keys is not")
  func otherPayload() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let first = try await client.placeOrder(key: "payload")
      let head = try await api.log.head()
      let other = try await client.placeOrder(quantity: 2, key: "payload")
      #expect(other.status == 422)
      #expect(try other.problem == "/problems/idempotency-key-reused")
      #expect(try other.field == "Idempotency-Key")
      let reordered = try await client.post(
        "/cqrs/commands/orders", #"{ "quantity" : 1, "product_id":101, "user_id":456 }"#,
        key: "payload")
      #expect(reordered.text == first.text)
      #expect(try await api.log.head() == head)
    }
  }

  @Test("the same key on another route, or for another order, is its own command or refused")
  func otherRoutes() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let order = try await client.placeOrder(key: "k").data.string("order_id")
      let saga = try await client.post(
        "/saga/order", #"{"user_id":456,"items":[{"product_id":101,"quantity":1}]}"#, key: "k")
      #expect(saga.status == 202)
      #expect(try saga.data.string("order_id") != order)
      let second = try await client.placeOrder().data.string("order_id")
      func cancel(_ id: String) async throws -> APIAnswer {
        try await client.post("/cqrs/commands/orders/\(id)/cancel", "{}", key: "k")
      }
      let cancelled = try await cancel(order)
      #expect(cancelled.status == 202)
      #expect(try await cancel(order).text == cancelled.text)
      #expect(try await cancel(second).status == 422)
    }
  }

  @Test("stock changes, payments and events by hand are done once as well")
  func otherCommands() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let id = try await client.placeOrder().data.string("order_id")
      for (path, body) in [
        (
          "/cqrs/commands/inventory",
          #"{"product_id":101,"quantity_change":3,"operation":"restock"}"#
        ),
        (
          "/cqrs/commands/payments",
          #"{"order_id":"\#(id)","amount":199.99,"payment_method":"card"}"#
        ),
        (
          "/event-store/api/v1/events/store",
          #"{"aggregate_type":"n","aggregate_id":"a","event_type":"E","data":{"x":1}}"#
        ),
        ("/start-saga", #"{"customer_id":456,"product_id":101,"quantity":1}"#),
      ] {
        let head = try await api.log.head()
        let first = try await client.post(path, body, key: "once")
        let second = try await client.post(path, body, key: "once")
        #expect((200...202).contains(first.status), "\(path): \(first.text)")
        #expect(first.text == second.text, "\(path)")
        #expect(try await api.log.head() == head + 1, "\(path)")
      }
    }
  }
}
