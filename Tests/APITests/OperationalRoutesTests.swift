import EventSourcing
import Foundation
import HTTPTypes
import Hummingbird
import Synchronization
import Testing

@testable import API

@Suite("Health, metrics, projections and the index")
struct OperationalRoutesTests {
  @Test("ready tells the truth, check by check; live only lives")
  func health() async throws {
    let isReady = Mutex(true)
    let check: @Sendable () -> ReadinessReport = {
      let ready = isReady.withLock { $0 }
      return ReadinessReport(checks: [
        .init(name: "log", isReady: ready, detail: ready ? "writable" : "no primary"),
        .init(name: "projections", isReady: true, detail: "moving"),
      ])
    }
    var api = try await APIUnderTest.seeded()
    api.services.readiness = { check() }
    try await api.run { _, client in
      let ready = try await client.get("/health/ready")
      #expect(ready.status == 200)
      isReady.withLock { $0 = false }
      let notReady = try await client.get("/health/ready")
      #expect(notReady.status == 503)
      #expect(try notReady.json.string("status") == "not_ready")
      #expect(
        try notReady.json.objects("checks") { try $0.string("status") } == ["not_ready", "ready"])
      #expect(try await client.get("/health/live").status == 200)
    }
  }

  @Test("the index, metrics and the API's description answer, and HEAD does too")
  func others() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.metricsText = { "up 1\n" }
    try await api.run { _, client in
      let index = try await client.get("/")
      #expect(try index.json.object("links").string("openapi") == "/openapi.yaml")
      let metrics = try await client.get("/metrics")
      #expect(metrics.text == "up 1\n")
      #expect(metrics.response.headers[.contentType]?.hasPrefix("text/plain") == true)
      #expect(try await client.get("/openapi.yaml").text.hasPrefix("openapi: 3"))
      #expect(try await client.send(.head, "/health/live", body: nil).status == 200)
    }
  }

  @Test("every response has a request id and says that it is not to be guessed at or kept")
  func headers() async throws {
    try await APIUnderTest.run { _, client in
      for path in ["/health/live", "/nowhere"] {
        let answer = try await client.get(path, headers: [.requestID: "mine-1"])
        #expect(answer.response.headers[.requestID] == "mine-1")
        #expect(answer.response.headers[.xContentTypeOptions] == "nosniff")
        #expect(answer.response.headers[.cacheControl] == "no-store")
      }
      let strange = try await client.get("/health/live", headers: [.requestID: "a b"])
      #expect(strange.response.headers[.requestID] != "a b")
      #expect(strange.response.headers[.requestID]?.isEmpty == false)
    }
  }

  @Test("projections are listed and rebuilt, one or all")
  func projections() async throws {
    var api = try await APIUnderTest.seeded()
    api.services.projections = FakeAdministration()
    try await api.run { _, client in
      let list = try await client.get("/projections").json
      #expect(try list.objects("projections") { try $0.string("name") } == ["orders", "stock"])
      #expect(try list.objects("projections") { try $0.integer("lag") } == [2, 2])
      let started = try await client.post("/projections/orders/rebuild", "")
      #expect(started.status == 202)
      #expect(started.response.headers[.location] == "/projections/orders/rebuild")
      #expect(try await client.get("/projections/orders/rebuild").json.string("state") == "running")
      let again = try await client.post("/projections/orders/rebuild", "")
      #expect(again.status == 409)
      #expect(try again.problem == "/problems/rebuild-running")
      let all = try await client.post("/projections/rebuild", "{}")
      #expect(all.status == 202)
      #expect(try all.json.integer("count") == 2)
      #expect(try await client.post("/projections/nonsense/rebuild", "").status == 404)
      #expect(try await client.get("/projections/nonsense/rebuild").status == 404)
    }
  }

  @Test("a fault of the store is 503 and quotes nothing of it")
  func storeFaults() async throws {
    struct Down: Error {}
    var api = try await APIUnderTest.seeded()
    api.services.log = FailingLog(error: Down())
    let before = api
    api.services.isUnavailable = { $0 is Down }
    try await api.run(projecting: false) { _, client in
      let answer = try await client.get("/event-store/api/v1/events")
      #expect(answer.status == 503)
      #expect(try answer.json.string("outcome") == "not_done")
      #expect(answer.response.headers[.retryAfter] == "1")
      #expect(!answer.text.contains("Down"))
    }
    try await before.run(projecting: false) { _, client in
      let answer = try await client.get("/event-store/api/v1/events")
      #expect(answer.status == 500)
      #expect(!answer.text.contains("Down"))
    }
  }

  @Test("an append that is not done, or may be done, says which")
  func appendOutcomes() async throws {
    let command = CommandID("0f0e0d0c-0b0a-4908-8706-050403020100")
    for (failure, outcome) in [
      (AppendFailure.notDone("pool"), "not_done"),
      (.unknown(try command.orThrow("no id")), "unknown"),
    ] {
      var api = try await APIUnderTest.seeded()
      api.services.log = FailingLog(error: failure)
      try await api.run(projecting: false) { _, client in
        let answer = try await client.post(
          "/event-store/api/v1/events/store",
          #"{"aggregate_type":"n","aggregate_id":"a","event_type":"E","data":{}}"#)
        #expect(answer.status == 503)
        #expect(try answer.json.string("outcome") == outcome)
        #expect(answer.response.headers[.retryAfter] == "1")
      }
    }
  }

  @Test("the API's description names every route that there is, and no other")
  func description() async throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/openapi.yaml")
    let text = try String(contentsOf: file, encoding: .utf8)
    for kind in Problem.Kind.allCases {
      #expect(text.contains("- /problems/\(kind.rawValue)\n"), "\(kind.rawValue)")
    }
    let described = Self.routes(inYAML: text)
    var services = APIUnderTest().services
    services.projections = FakeAdministration()
    let served = Set(
      MagasinAPI.router(services).routes.map { "\($0.method.rawValue) \($0.path)" })
    #expect(described.subtracting(served).isEmpty)
    #expect(served.subtracting(described).isEmpty)
  }

  /// The keys of `paths`, two spaces in, with the methods below them, four spaces in.
  private static func routes(inYAML text: String) -> Set<String> {
    var routes: Set<String> = []
    var path: Substring?
    var isInPaths = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
      if !line.hasPrefix(" ") { isInPaths = line == "paths:" }
      guard isInPaths else { continue }
      if line.hasPrefix("  /"), line.hasSuffix(":") { path = line.dropFirst(2).dropLast() }
      for method in ["get", "post", "put", "delete"] where line == "    \(method):" {
        if let path { routes.insert("\(method.uppercased()) \(path)") }
      }
    }
    return routes
  }
}

/// Two projections, and rebuilds that never end.
private final class FakeAdministration: ProjectionAdministration {
  private let running = Mutex<Set<String>>([])

  func list() async throws -> [ProjectionReport] {
    ["orders", "stock"].map {
      ProjectionReport(
        name: $0, generation: 1, collection: "\($0)__v1", position: Position(8),
        head: Position(10))
    }
  }

  func startRebuild(of name: String, expectsSame: Bool) async throws -> RebuildReport {
    try check(name)
    guard running.withLock({ $0.insert(name).inserted }) else {
      throw ProjectionAdministrationError.rebuildRunning(name)
    }
    return report(name)
  }

  func rebuild(of name: String) async throws -> RebuildReport? {
    try check(name)
    return running.withLock { $0.contains(name) } ? report(name) : nil
  }

  func skip(_ name: String, at position: Position, _ act: OperatorAct) async throws -> Position {
    try check(name)
    guard position == Position(9) else {
      throw ProjectionOperations.Refusal.stoppedElsewhere(name, at: Position(9))
    }
    return Position(11)
  }

  func resume(_ name: String, _ act: OperatorAct) async throws -> Position {
    try check(name)
    throw ProjectionOperations.Refusal.notStopped(name)
  }

  private func check(_ name: String) throws {
    guard ["orders", "stock"].contains(name) else {
      throw ProjectionAdministrationError.unknownProjection(name)
    }
  }

  private func report(_ name: String) -> RebuildReport {
    RebuildReport(
      projection: name, state: .running, position: .start, head: Position(10), percent: 0,
      eventsPerSecond: 0, secondsLeft: 0, startedAt: .now)
  }
}
