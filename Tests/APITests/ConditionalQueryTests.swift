import Commerce
import EventSourcing
import Hummingbird
import Testing

@testable import API

@Suite("Conditional queries over HTTP")
struct ConditionalQueryTests {
  private static func paths(_ order: String) -> [String] {
    [
      "/cqrs/queries/orders/\(order)", "/cqrs/queries/orders/\(order)?version=1",
      "/cqrs/queries/orders/\(order)?at=2100-01-01", "/cqrs/queries/orders/recent",
      "/cqrs/queries/orders/recent?at=2100-01-01", "/cqrs/queries/orders/status/initiated",
      "/cqrs/queries/users/456/orders", "/cqrs/queries/users/456/orders?at=2100-01-01",
      "/cqrs/queries/users/456/summary", "/cqrs/queries/customers/top",
      "/cqrs/queries/inventory", "/cqrs/queries/inventory/101",
      "/cqrs/queries/inventory/low-stock", "/cqrs/queries/statistics/orders", "/sagas",
      "/saga/\(order)", "/saga/order/\(order)",
    ]
  }

  @Test("every query names what it shows; who has it gets 304, no body, and the position")
  func everyQuery() async throws {
    try await APIUnderTest.run { api, client in
      let id = try await client.placeOrder().data.string("order_id")
      let head = try await api.startSaga(of: OrderID(id).orThrow("no order id")).rawValue
      let seen: HTTPFields = [.magasinPosition: "\(head)"]
      for path in Self.paths(id) {
        let first = try await client.get(path, headers: seen)
        #expect(first.status == 200, "\(path): \(first.text)")
        let tag = try first.response.headers[.entityTag].orThrow("no ETag: \(path)")
        #expect(tag.hasPrefix("W/\"") && tag.hasSuffix("\""), "\(tag)")
        #expect(first.response.headers[.cacheControl] == "private, no-cache", "\(path)")
        var headers = seen
        headers[.ifNoneMatch] = tag
        for method in [HTTPRequest.Method.get, .head] {
          let again = try await client.send(method, path, headers: headers, body: nil)
          #expect(again.status == 304, "\(method) \(path): \(again.text)")
          #expect(again.text.isEmpty)
          #expect(again.response.headers[.entityTag] == tag)
          #expect(again.response.headers[.contentType] == nil)
          #expect(again.response.headers[.cacheControl] == "private, no-cache")
          #expect(try again.position.orThrow("no position") >= head)
        }
        let whole = try await client.send(.head, path, headers: seen, body: nil)
        #expect(whole.status == 200, "HEAD \(path)")
        #expect(whole.text.isEmpty)
        #expect(whole.response.headers[.entityTag] == tag)
        headers[.ifNoneMatch] = "W/\"other\""
        #expect(try await client.get(path, headers: headers).status == 200, "\(path)")
      }
    }
  }

  @Test("a change of what is shown is a new tag")
  func change() async throws {
    try await APIUnderTest.run { api, client in
      let placed = try await client.placeOrder()
      let id = try placed.data.string("order_id")
      let position = try placed.position.orThrow("no position")
      func tag(_ path: String, _ minimum: Int64) async throws -> String {
        try await client.get(path, headers: [.magasinPosition: "\(minimum)"])
          .response.headers[.entityTag].orThrow("no ETag: \(path)")
      }
      let changing = [
        "/cqrs/queries/orders/\(id)", "/cqrs/queries/orders/recent",
        "/cqrs/queries/statistics/orders", "/cqrs/queries/users/456/summary",
      ]
      let constant = [
        "/cqrs/queries/orders/\(id)?version=1", "/cqrs/queries/inventory/102",
        "/cqrs/queries/statistics/orders?end_date=2020-01-01",
      ]
      var before: [String: String] = [:]
      for path in changing + constant { before[path] = try await tag(path, position) }
      try await api.shop.confirmOrder(
        try OrderID(id).orThrow("no order id"), context: api.context())
      let head = try await api.log.head().rawValue
      for path in changing { #expect(try await tag(path, head) != before[path], "\(path)") }
      for path in constant { #expect(try await tag(path, head) == before[path], "\(path)") }
    }
  }

  @Test("who must see a later position is not told that nothing changed")
  func minimumFirst() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.minimumPositionWaitMax = .seconds(2)
    try await api.run { api, client in
      let head = try await api.log.head().rawValue
      let path = "/cqrs/queries/inventory?min_position="
      let tag = try await client.get("\(path)\(head)").response.headers[.entityTag]
      let later = try await client.get(
        "\(path)\(head + 1)", headers: [.ifNoneMatch: try tag.orThrow("no ETag")])
      #expect(later.status == 503)
      #expect(later.response.headers[.entityTag] == nil)
      #expect(later.response.headers[.cacheControl] == "no-store")
      let missing = try await client.get(
        "/cqrs/queries/orders/order_1", headers: [.ifNoneMatch: "*"])
      #expect(missing.status == 404)
    }
  }

  @Test("If-None-Match is read as RFC 9110 has it")
  func conditions() {
    let tag = EntityTag(opaque: "orders.1.7")
    for condition in [
      "*", " * ", "W/\"orders.1.7\"", "\"orders.1.7\"", "\"a\", W/\"orders.1.7\"",
      "W/\"a,b\" ,\t\"orders.1.7\", \"c\"", ", ,\"orders.1.7\"", "\"\",\"orders.1.7\"",
    ] {
      #expect(tag.isNamed(by: condition), "\(condition)")
    }
    for condition in [
      "", "orders.1.7", "\"orders.1\"", "w/\"orders.1.7\"", "\"orders.1.7", "**",
      "\"a\" \"orders.1.7\"", "W/orders.1.7", "\"a,orders.1.7\"", "W/", ",",
    ] {
      #expect(!tag.isNamed(by: condition), "\(condition)")
    }
  }
}
