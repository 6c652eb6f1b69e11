import Commerce
import EventSourcing
import HTTPTypes
import Testing

@testable import API

/// A request that must be refused, and how.
struct BadInput: Sendable, CustomStringConvertible {
  var path: String
  var body: String
  var status: Int
  var problem: String
  var field: String?

  var description: String { "\(path) \(body.prefix(80))" }

  init(_ path: String, _ body: String, _ status: Int, _ problem: String, _ field: String? = nil) {
    self.path = path
    self.body = body
    self.status = status
    self.problem = problem
    self.field = field
  }

  static func order(_ body: String, _ status: Int, _ problem: String, _ field: String?) -> Self {
    BadInput("/cqrs/commands/orders", body, status, problem, field)
  }

  /// The fields of one good order with one of them replaced by a JSON text.
  static func order(
    _ field: String, _ value: String, _ status: Int, _ problem: String, named: String? = nil
  ) -> Self {
    var fields = ["user_id": "456", "product_id": "101", "quantity": "1"]
    fields[field] = value
    let body = fields.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",")
    return order("{\(body)}", status, problem, named ?? field)
  }

  static func stock(_ field: String, _ value: String, _ status: Int, _ problem: String) -> Self {
    var fields = ["product_id": "101", "quantity_change": "1", "operation": "\"restock\""]
    fields[field] = value
    let body = fields.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",")
    return BadInput("/cqrs/commands/inventory", "{\(body)}", status, problem, field)
  }

  static func event(_ field: String, _ value: String, _ status: Int, _ problem: String) -> Self {
    var fields = [
      "aggregate_type": "\"notes\"", "aggregate_id": "\"a\"", "event_type": "\"Noted\"",
      "data": "{}",
    ]
    fields[field] = value
    let body = fields.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",")
    return BadInput("/event-store/api/v1/events/store", "{\(body)}", status, problem, field)
  }

  static let syntax: [BadInput] = [
    "", "{", "not json", "null", "[]", "1", #"{"user_id":456}}"#, #"{"user_id":1e2}"#,
    #"{"user_id":456,"user_id":456}"#, #"{"user_id":99999999999999999999}"#, "\u{FEFF}{}",
    #"{"a":"\ud800"}"#, String(repeating: "[", count: 100),
  ].flatMap { body in
    [
      "/cqrs/commands/orders", "/cqrs/commands/inventory", "/cqrs/commands/payments", "/saga/order",
      "/start-saga", "/event-store/api/v1/events/store",
    ].map { BadInput($0, body, 400, "malformed-json") }
  }

  static let shapes: [BadInput] = [
    .order("{}", 400, "missing-field", "product_id"),
    .order(#"{"user_id":456,"product_id":101}"#, 400, "missing-field", "quantity"),
    .order(#"{"product_id":101,"quantity":1}"#, 400, "missing-field", "user_id"),
    .order("price", "1", 400, "unknown-field"),
    .order("quantity", "1.0", 400, "wrong-type"),
    .order("quantity", "\"1\"", 400, "wrong-type"),
    .order("user_id", "true", 400, "wrong-type"),
    .order(
      "shipping_address", #"{"street":"a"}"#, 400, "missing-field",
      named: "shipping_address.city"),
    .order(
      "shipping_address", #"{"street":"a","city":"b","postal_code":"c","planet":"d"}"#, 400,
      "unknown-field", named: "shipping_address.planet"),
    .order(
      #"{"user_id":456,"items":[{"product_id":101,"quantity":1,"price":2}]}"#, 400,
      "unknown-field", "items[0].price"),
    .order(
      #"{"user_id":456,"items":[{"product_id":101,"quantity":1},{"product_id":101}]}"#, 400,
      "missing-field", "items[1].quantity"),
    .order(#"{"user_id":456,"items":7}"#, 400, "wrong-type", "items"),
    .stock("operation", "7", 400, "wrong-type"),
    .stock("reason", "\"x\"", 400, "unknown-field"),
    .event("data", "[]", 400, "wrong-type"),
    .event("version", "1", 400, "unknown-field"),
    BadInput(
      "/cqrs/commands/payments", #"{"order_id":"order_1","amount":"1"}"#, 400,
      "wrong-type", "amount"),
    BadInput(
      "/cqrs/commands/payments", #"{"order_id":"order_1","amount":1}"#, 400,
      "missing-field", "payment_method"),
    BadInput(
      "/start-saga", #"{"customer_id":456,"product_id":101}"#, 400, "missing-field",
      "quantity"),
    BadInput(
      "/cqrs/commands/orders/order_1/cancel", #"{"reasons":"x"}"#, 400, "unknown-field",
      "reasons"),
  ]

  static let ranges: [BadInput] =
    ["0", "-1", "2147483648", "1000001"].map { .order("quantity", $0, 422, "invalid-value") }
    + ["0", "-1", "2147483648"].flatMap { number in
      [
        BadInput.order("user_id", number, 422, "invalid-value"),
        .order("product_id", number, 422, "invalid-value"),
        .order("store_id", number, 422, "invalid-value"),
        .stock("quantity_change", number, 422, "invalid-value"),
        .stock("product_id", number, 422, "invalid-value"),
      ]
    } + [
      .order("currency", "\"XXX\"", 422, "invalid-value"),
      .order("saga", "\"improvised\"", 422, "invalid-value"),
      .order("payment_method", "\"a b\"", 422, "invalid-value"),
      .order("items", "[]", 422, "invalid-value", named: "product_id"),
      .order(#"{"user_id":456,"items":[]}"#, 422, "invalid-value", "items"),
      .order(
        #"{"user_id":456,"items":[{"product_id":101,"quantity":0}]}"#, 422,
        "invalid-value", "items[0].quantity"),
      .order(
        #"{"user_id":456,"items":[{"product_id":101,"quantity":900000},"#
          + #"{"product_id":101,"quantity":900000}]}"#, 422, "invalid-value", "items"),
      .stock("operation", "\"steal\"", 422, "invalid-value"),
      .stock("order_id", "\"no/order\"", 422, "invalid-value"),
      .event("expected_version", "-1", 422, "invalid-value"),
      .event("correlation_id", "\"x\"", 422, "invalid-value"),
      .event("aggregate_type", "\"a b\"", 422, "invalid-value"),
      .event("event_type", "\"\"", 422, "invalid-value"),
      .event("data", #"{"":1}"#, 422, "invalid-value"),
      .event("data", #"{"a\u0000b":1}"#, 422, "invalid-value"),
      BadInput(
        "/cqrs/commands/payments",
        #"{"order_id":"order_1","amount":-1,"payment_method":"card"}"#, 422, "invalid-value",
        "amount"),
      BadInput(
        "/cqrs/commands/payments",
        #"{"order_id":"order_1","amount":0,"payment_method":"card"}"#, 422, "invalid-value",
        "amount"),
    ]

  static let unknowns: [BadInput] = [
    .order("product_id", "999", 422, "unknown-product"),
    .order("product_id", "103", 422, "retired-product"),
    .order("user_id", "999", 422, "unknown-customer"),
    .order("currency", "\"EUR\"", 422, "currency-mismatch"),
    .order(
      #"{"user_id":456,"items":[{"product_id":101,"quantity":1},{"product_id":9,"quantity":1}]}"#,
      422, "unknown-product", "items[1].product_id"),
    .stock("product_id", "999", 422, "unknown-product"),
    BadInput(
      "/start-saga", #"{"customer_id":9,"product_id":101,"quantity":1}"#, 422,
      "unknown-customer", "customer_id"),
    BadInput(
      "/cqrs/commands/payments",
      #"{"order_id":"order_1","amount":1,"payment_method":"card"}"#, 422, "unknown-order",
      "order_id"),
    BadInput("/cqrs/commands/orders/order_1/cancel", "{}", 404, "not-found", "order_id"),
    BadInput("/cqrs/commands/orders/a%20b/cancel", "{}", 422, "invalid-value", "order_id"),
    BadInput("/nowhere", "{}", 404, "unknown-route"),
  ]

  static let reserved: [BadInput] = [
    "orders", "inventory", "payments", "products", "customers", "notifications", "sagas",
  ].map { .event("aggregate_type", "\"\($0)\"", 422, "reserved-category") }
}

@Suite("Bad input is refused by name and leaves no event")
struct BadInputTests {
  @Test(
    "every bad body gets its problem and field",
    arguments: [
      BadInput.syntax, BadInput.shapes, BadInput.ranges, BadInput.unknowns, BadInput.reserved,
    ])
  func refuses(_ cases: [BadInput]) async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let head = try await api.log.head()
      for bad in cases {
        let answer = try await client.post(bad.path, bad.body)
        #expect(answer.status == bad.status, "\(bad): \(answer.text)")
        #expect(
          answer.response.headers[.contentType] == "application/problem+json", "\(bad)")
        let json = try answer.json
        #expect(json["type"] == .string("/problems/\(bad.problem)"), "\(bad): \(answer.text)")
        #expect(json["field"]?.stringValue == bad.field, "\(bad): \(answer.text)")
        #expect(json["status"] == .integer(Int64(bad.status)))
        #expect(json["success"] == false)
        #expect(json["request_id"]?.stringValue == answer.response.headers[.requestID])
        #expect(try await api.log.head() == head, "\(bad) moved the log")
      }
    }
  }

  @Test("64 KiB are taken and one byte more is not, with and without a length")
  func limitsBodies() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let body = #"{"aggregate_type":"notes","aggregate_id":"a","event_type":"Noted","data":{}}"#
      let full = body + String(repeating: " ", count: 65_536 - body.utf8.count)
      let path = "/event-store/api/v1/events/store"
      #expect(try await client.post(path, full).status == 201)
      let head = try await api.log.head()
      let tooLarge = try await client.post(path, full + " ")
      #expect(tooLarge.status == 413)
      #expect(try tooLarge.problem == "/problems/body-too-large")
      #expect(try await api.log.head() == head)
    }
  }

  @Test("a problem does not throw a caller's long words back")
  func shortProblems() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let name = String(repeating: "x", count: 60_000)
      let answer = try await client.post("/cqrs/commands/orders", #"{"\#(name)":1}"#)
      #expect(answer.status == 400)
      #expect(answer.text.utf8.count < 2000)
    }
  }

  @Test("a form's content type is forgiven, multipart is not")
  func contentTypes() async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let body = #"{"user_id":456,"product_id":101,"quantity":1}"#
      let path = "/cqrs/commands/orders"
      for type in ["application/x-www-form-urlencoded", "text/plain", "application/json"] {
        #expect(try await client.post(path, body, headers: [.contentType: type]).status == 202)
      }
      #expect(try await client.send(.post, path, body: body).status == 202)
      let upload = try await client.post(
        path, body, headers: [.contentType: "Multipart/form-data; boundary=x"])
      #expect(upload.status == 415)
    }
  }

  @Test("a wrong method says which ones are right")
  func wrongMethods() async throws {
    try await APIUnderTest.run { _, client in
      let answer = try await client.send(.delete, "/cqrs/commands/orders", body: nil)
      #expect(answer.status == 405)
      #expect(answer.response.headers[.allow] == "POST")
      let order = try await client.send(.post, "/cqrs/queries/orders/order_1", body: "{}")
      #expect(order.response.headers[.allow] == "GET, HEAD")
      let nowhere = try await client.get("/cqrs/commands/orders/order_1/cancel/now")
      #expect(nowhere.status == 404)
    }
  }

  @Test("an idempotency key must be printable and short")
  func idempotencyKeys() async throws {
    try await APIUnderTest.run(projecting: false) { api, client in
      let head = try await api.log.head()
      for key in ["", String(repeating: "x", count: 256), "a\u{E9}"] {
        let answer = try await client.placeOrder(key: key)
        #expect(answer.status == 422)
        #expect(try answer.field == "Idempotency-Key")
      }
      #expect(try await api.log.head() == head)
    }
  }

  @Test(
    "a preference that cannot be read is ignored",
    arguments: [";", ",", "=", "wait", "wait=", "wait=;", ";;,;", "wait=-1", "wait=x", ""])
  func strangePreferences(_ preference: String) async throws {
    try await APIUnderTest.run(projecting: false) { _, client in
      let answer = try await client.post(
        "/cqrs/commands/orders", #"{"user_id":456,"product_id":101,"quantity":1}"#,
        headers: [.prefer: preference])
      #expect(answer.status == 202)
      #expect(answer.response.headers[.preferenceApplied] == nil)
    }
  }
}
