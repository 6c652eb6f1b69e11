import Commerce
import EventSourcing
import Hummingbird
import Sagas
import Testing

@testable import API

@Suite("Operators over HTTP")
struct SagaActRoutesTests {
  private static let body = #"{"reason":"the provider is back","by":"ann"}"#

  @Test("an act on one saga answers what was recorded, and does it once under its key")
  func one() async throws {
    try await APIUnderTest.run { api, client in
      let order = try await SagaConductor(api).chargingOrder()
      for path in ["/sagas/\(order.sagaID)/retry", "/sagas/\(order)/retry"] {
        let dry = try await client.post(path, #"{"reason":"a test","dry_run":true}"#)
        #expect(dry.status == 200)
        #expect(try dry.json.string("outcome") == "planned")
        #expect(dry.position == nil)
      }
      let head = try await api.log.head()
      let path = "/sagas/\(order.sagaID)/force-compensate"
      let done = try await client.post(path, Self.body, key: "k")
      #expect(done.status == 202)
      #expect(done.position == head.rawValue + 1)
      #expect(done.response.headers[.location] == "/saga/\(order.sagaID)")
      let json = try done.json
      #expect(try json.string("action") == "force-compensate")
      #expect(try json.string("outcome") == "recorded")
      #expect(try json.integer("recorded_at") == head.rawValue + 1)
      let events = try json.objects("events") { $0 }
      #expect(try events.map { try $0.string("event") } == ["SagaCompensating"])
      #expect(try json.string("state") == "charging")
      #expect(try events[0].string("state") == "cancelling")
      let again = try await client.post(path, Self.body, key: "k")
      #expect(again.text == done.text)
      #expect(try await api.log.head() == head + 1)
      let other = try await client.post(path, #"{"reason":"another"}"#, key: "k")
      #expect(other.status == 422)
      #expect(try other.problem == "/problems/idempotency-key-reused")
    }
  }

  @Test("what does not fit is 409 with the reason, an unknown saga 404, a bad body refused")
  func refusals() async throws {
    try await APIUnderTest.run { api, client in
      let order = try await SagaConductor(api).chargingOrder()
      let head = try await api.log.head()
      let skip = try await client.post("/sagas/\(order.sagaID)/skip", Self.body)
      #expect(skip.status == 409)
      #expect(try skip.problem == "/problems/saga-act-refused")
      #expect(try skip.json.string("state") == "charging")
      #expect(try skip.json.string("detail").contains("cannot be skipped"))
      let dry = try await client.post(
        "/sagas/\(order.sagaID)/skip", #"{"reason":"a test","dry_run":true}"#)
      #expect(dry.status == 200)
      #expect(try dry.json.string("outcome") == "refused")
      #expect(try await client.post("/sagas/saga_order_nope/retry", Self.body).status == 404)
      #expect(try await client.post("/sagas/\(order.sagaID)/dance", Self.body).status == 404)
      for (body, status, field) in [
        ("{}", 400, "reason"), (#"{"reason":" "}"#, 422, "reason"),
        (#"{"reason":"a","by":""}"#, 422, "by"), (#"{"reason":"a","more":1}"#, 400, "more"),
        (#"{"reason":"a","dry_run":"yes"}"#, 400, "dry_run"),
      ] {
        let answer = try await client.post("/sagas/\(order.sagaID)/retry", body)
        #expect(answer.status == status, "\(body)")
        #expect(try answer.field == field, "\(body)")
      }
      for (body, status, field) in [
        (#"{"reason":"a"}"#, 400, "filter"), (#"{"reason":"a","filter":{}}"#, 422, "filter"),
        (#"{"reason":"a","filter":{"state":"nope"}}"#, 422, "filter.state"),
        (#"{"reason":"a","filter":{"colour":"red"}}"#, 400, "filter.colour"),
        (
          #"{"reason":"a","filter":{"older_than_seconds":-1}}"#, 422,
          "filter.older_than_seconds"
        ),
        (#"{"reason":"a","filter":{"state":"charging"},"limit":0}"#, 422, "limit"),
      ] {
        let answer = try await client.post("/sagas/retry", body)
        #expect(answer.status == status, "\(body)")
        #expect(try answer.field == field, "\(body)")
      }
      #expect(try await api.log.head() == head)
    }
  }

  @Test("an act on those that a filter means, found in the read model")
  func many() async throws {
    try await APIUnderTest.run { api, client in
      let sagas = SagaConductor(api)
      let charging = [try await sagas.chargingOrder(), try await sagas.chargingOrder()]
      let poisoned = try await sagas.poisonedOrder()
      // The read model has seen them all.
      let head = try await api.log.head()
      #expect(try await client.get("/sagas?min_position=\(head)").status == 200)
      let filter = #""filter":{"state":"charging"},"reason":"a test""#
      let dry = try await client.post(
        "/sagas/force-compensate", "{\(filter),\"dry_run\":true}")
      #expect(dry.status == 200)
      #expect(try dry.json.integer("accepted") == 2)
      // In the order in which they have waited: both perhaps since the same millisecond.
      let inOrder = try dry.json.objects("sagas") { try $0.string("saga_id") }
      #expect(Set(inOrder) == Set(charging.map(\.sagaID)))
      #expect(try await api.log.head() == head)
      let first = try await client.post("/sagas/force-compensate", "{\(filter),\"limit\":1}")
      #expect(first.status == 202)
      #expect(try first.json.bool("has_more"))
      #expect(
        try first.json.objects("sagas") { try $0.string("saga_id") } == Array(inOrder.prefix(1)))
      #expect(first.position == head.rawValue + 1)
      let resumed = try await client.post(
        "/sagas/resume", #"{"filter":{"state":"suspended"},"reason":"a test"}"#)
      #expect(
        try resumed.json.objects("sagas") { try $0.string("saga_id") } == [poisoned.sagaID])
      let nobody = try await client.post(
        "/sagas/retry",
        #"{"filter":{"state":"charging","older_than_seconds":3600},"reason":"a test"}"#)
      #expect(nobody.status == 200)
      #expect(try nobody.json.integer("count") == 0)
    }
  }

  @Test("a process without commands takes no act")
  func roles() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.sagas = nil
    try await api.run { _, client in
      let answer = try await client.post("/sagas/retry", Self.body)
      #expect(answer.status == 404)
    }
  }

  @Test("a saga tells what it waits for, since when, and where its events are")
  func shows() async throws {
    try await APIUnderTest.run { api, client in
      let order = try await SagaConductor(api).chargingOrder()
      let acted = try await client.post("/sagas/\(order.sagaID)/retry", Self.body)
      let position = try acted.position.orThrow("no position")
      let json = try await client.get("/saga/\(order.sagaID)?min_position=\(position)").json
      #expect(try json.string("waiting_for") == "the payment service's answer")
      #expect(try json.timestamp("waiting_since") <= Timestamp.now)
      #expect(try json.object("next_timer").string("name") == "deadline of charging")
      #expect(json["suspended"] == .null)
      let links = try json.object("links")
      #expect(try links.string("self") == "/saga/\(order.sagaID)")
      for name in links.keys {
        let path = try links.string(name)
        #expect(try await client.get(path).status == 200, "\(path)")
      }
      let history = try json.objects("history") { $0 }
      let last = try history.last.orThrow("no history")
      #expect(try last.string("by") == "ann")
      #expect(try last.string("reason") == "the provider is back")
      let input = try history[0].object("links").string("input")
      let events = try await client.get(input).json.objects("events") { $0 }
      #expect(try events.map { try $0.string("event_type") } == ["OrderInitiated"])
      #expect(try events[0].integer("position") == history[0].integer("input"))
    }
  }
}
