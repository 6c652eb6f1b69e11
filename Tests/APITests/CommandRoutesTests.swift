import Commerce
import EventSourcing
import HTTPTypes
import Testing

@testable import API

@Suite("Commands over HTTP")
struct CommandRoutesTests {
  @Test("an order is accepted with its envelope, location and position")
  func acceptsOrder() async throws {
    try await APIUnderTest.run { api, client in
      let answer = try await client.placeOrder(quantity: 2)
      #expect(answer.status == 202)
      let json = try answer.json
      #expect(json.keys == ["success", "command_id", "message", "data", "error"])
      #expect(json["success"] == true)
      #expect(json["error"] == .null)
      let id = try answer.data.string("order_id")
      #expect(try id == "order_" + json.string("command_id"))
      #expect(try answer.data.string("status") == "initiated")
      #expect(try answer.data.decimal("total_amount").description == "399.98")
      #expect(answer.response.headers[.location] == "/cqrs/queries/orders/\(id)")
      #expect(answer.response.headers[.contentType] == "application/json")
      #expect(try await answer.position == api.log.head().rawValue)
    }
  }

  @Test("an order of several items takes store, address, method and currency")
  func acceptsItems() async throws {
    try await APIUnderTest.run { api, client in
      let answer = try await client.post(
        "/cqrs/commands/orders",
        """
        {"user_id":456,"items":[{"product_id":101,"quantity":1},{"product_id":102,"quantity":2},
         {"product_id":101,"quantity":1}],"store_id":3,"payment_method":"card","currency":"CAD",
         "shipping_address":{"street":"1 Main","city":"Laval","postal_code":"H7A"},
         "saga":"orchestrated"}
        """)
      #expect(answer.status == 202)
      let id = try answer.data.string("order_id")
      let event = try await api.log.stream(Orders.stream(id)).first.orThrow("no event")
      guard case .initiated(let order) = try Orders.decode(event) else {
        throw Missing(what: "OrderInitiated")
      }
      #expect(order.items.map(\.quantity) == [2, 2])
      #expect(order.total.minorUnits == 44_998)
      #expect(order.storeID == 3)
      #expect(order.shippingAddress?.city == "Laval")
    }
  }

  @Test("a commit says who asked: trace, agent and correlation")
  func recordsMetadata() async throws {
    try await APIUnderTest.run { api, client in
      let correlation = "0f0e0d0c-0b0a-4908-8706-050403020100"
      let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
      let answer = try await client.post(
        "/cqrs/commands/orders", #"{"user_id":456,"product_id":101,"quantity":1}"#,
        headers: [
          .correlationID: correlation, .traceParent: "00-\(trace)-00f067aa0ba902b7-01",
          .userAgent: "tests/1",
        ])
      let id = try answer.data.string("order_id")
      let event = try await api.log.stream(Orders.stream(id)).first.orThrow("no event")
      #expect(event.correlationID.text == correlation)
      #expect(event.header.context.metadata["trace_id"] == .string(trace))
      #expect(event.header.context.metadata["user_agent"] == "tests/1")
      #expect(event.header.context.serviceName == "magasin")
    }
  }

  @Test("a cancellation is accepted with and without the order's prefix, with and without a body")
  func cancels() async throws {
    try await APIUnderTest.run { api, client in
      for withPrefix in [true, false] {
        let id = try await client.placeOrder().data.string("order_id")
        let name = withPrefix ? id : String(id.dropFirst(6))
        let answer = try await client.send(
          .post, "/cqrs/commands/orders/\(name)/cancel", body: withPrefix ? nil : #"{"reason":"x"}"#
        )
        #expect(answer.status == 202)
        #expect(try answer.data == ["order_id": .string(id), "status": "cancelling"])
        #expect(try await api.log.version(of: Orders.stream(id)) == Version(2))
      }
      let unknown = try await client.post("/cqrs/commands/orders/order_nope/cancel", "{}")
      #expect(unknown.status == 404)
      #expect(try unknown.field == "order_id")
    }
  }

  @Test("a payment by hand must be the amount that is due, and comes once")
  func pays() async throws {
    try await APIUnderTest.run { _, client in
      let id = try await client.placeOrder().data.string("order_id")
      func pay(_ amount: String) async throws -> APIAnswer {
        try await client.post(
          "/cqrs/commands/payments",
          #"{"order_id":"\#(id)","amount":\#(amount),"payment_method":"card"}"#)
      }
      let wrong = try await pay("100")
      #expect(wrong.status == 422)
      #expect(try wrong.problem == "/problems/amount-mismatch")
      #expect(try wrong.field == "amount")
      let paid = try await pay("199.99")
      #expect(paid.status == 202)
      #expect(try paid.data.string("payment_id") == "payment_" + id.dropFirst(6))
      #expect(try await pay("199.99").status == 409)
    }
  }

  @Test("what was undone before it came conflicts: a reservation, a payment")
  func undoneFirst() async throws {
    try await APIUnderTest.run { api, client in
      let id = try await client.placeOrder().data.string("order_id")
      let order = try #require(OrderID(id))
      func context() -> CommitContext {
        CommitContext(commandID: .random(), timestamp: .now, serviceName: "tests")
      }
      try await api.shop.releaseStock(
        order: order, products: [APIUnderTest.laptop], reason: "no", barring: true,
        context: context())
      try await api.shop.requestRefund(
        order: order, effectID: "undo", reason: "no", context: context())
      let reserved = try await client.post(
        "/cqrs/commands/inventory",
        #"{"product_id":101,"quantity_change":1,"operation":"reserve","order_id":"\#(id)"}"#)
      let paid = try await client.post(
        "/cqrs/commands/payments",
        #"{"order_id":"\#(id)","amount":199.99,"payment_method":"card"}"#)
      for answer in [reserved, paid] {
        #expect(answer.status == 409)
        #expect(try answer.problem == "/problems/refused")
      }
    }
  }

  @Test("stock is restocked, reserved, released and deducted; more than there is conflicts")
  func changesStock() async throws {
    try await APIUnderTest.run { _, client in
      func change(_ operation: String, _ count: Int, _ more: String = "") async throws -> APIAnswer
      {
        try await client.post(
          "/cqrs/commands/inventory",
          #"{"product_id":101,"quantity_change":\#(count),"operation":"\#(operation)"\#(more)}"#)
      }
      let restocked = try await change("restock", 5, #","store_id":2"#)
      #expect(restocked.status == 202)
      #expect(try restocked.data.integer("available_quantity") == 105)
      #expect(restocked.response.headers[.location] == "/cqrs/queries/inventory/101")
      let order = #","order_id":"order_manual""#
      #expect(try await change("reserve", 10, order).data.integer("reserved_quantity") == 10)
      #expect(try await change("release", 4, order).data.integer("reserved_quantity") == 6)
      #expect(try await change("deduct", 6, order).data.integer("reserved_quantity") == 0)
      let tooMuch = try await change("deduct", 1000)
      #expect(tooMuch.status == 409)
      #expect(try tooMuch.problem == "/problems/insufficient-stock")
      #expect(try tooMuch.json.integer("available_quantity") == 99)
      let nothing = try await change("release", 1, #","order_id":"order_other""#)
      #expect(nothing.position != nil)
    }
  }

  @Test("Prefer: wait answers 201 when the order is confirmed, 409 when it is cancelled")
  func waits() async throws {
    try await APIUnderTest.run { api, client in
      let body = #"{"user_id":456,"product_id":101,"quantity":1}"#
      func place(_ key: String, prefer: String) async throws -> APIAnswer {
        try await client.post(
          "/cqrs/commands/orders", body, key: key, headers: [.prefer: prefer])
      }
      let open = try await place("open", prefer: "wait=0")
      #expect(open.status == 202)
      #expect(open.response.headers[.preferenceApplied] == "wait=0")

      async let waiting = place("good", prefer: "respond-async, wait=20")
      let good = OrderID(CommandID(derivedFrom: "POST /cqrs/commands/orders\ngood"))
      try await retrying { try await api.shop.confirmOrder(good, context: api.context()) }
      let confirmed = try await waiting
      #expect(confirmed.status == 201)
      #expect(try confirmed.data.string("status") == "confirmed")
      #expect(try await confirmed.position == api.log.head().rawValue)

      let bad = OrderID(CommandID(derivedFrom: "POST /cqrs/commands/orders\nbad"))
      async let failing = place("bad", prefer: "wait=20")
      try await retrying {
        try await api.shop.cancelOrderFinally(
          bad, reason: "no money", code: "INSUFFICIENT_FUNDS", context: api.context())
      }
      let cancelled = try await failing
      #expect(cancelled.status == 409)
      #expect(try cancelled.problem == "/problems/order-cancelled")
      #expect(try cancelled.json.string("code") == "INSUFFICIENT_FUNDS")
      #expect(try cancelled.json.string("detail") == "no money")
      #expect(try cancelled.json.string("order_id") == bad.text)
    }
  }

  @Test("an order that was accepted stays accepted when its outcome cannot be read")
  func waitsWithoutLog() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.log = FailingLog(error: AppendFailure.notDone("no primary"))
    try await api.run(projecting: false) { _, client in
      let answer = try await client.post(
        "/cqrs/commands/orders", #"{"user_id":456,"product_id":101,"quantity":1}"#,
        headers: [.prefer: "wait=1"])
      #expect(answer.status == 202)
      #expect(try answer.data.string("status") == "initiated")
    }
  }

  private func retrying<T>(_ body: () async throws -> T) async throws {
    for _ in 0..<500 {
      if (try? await body()) != nil { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    throw Missing(what: "the order was never placed")
  }
}
