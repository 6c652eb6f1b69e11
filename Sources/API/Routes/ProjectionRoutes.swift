import EventSourcing
import Hummingbird

/// `/projections/…`: where the read models stand, and their rebuilds.
struct ProjectionRoutes {
  let administration: any ProjectionAdministration
  let serviceName: String

  func register(on router: Router<APIContext>) {
    router.get("/projections", use: list)
    router.get("/projections/{name}", use: status)
    router.post("/projections/{name}/skip", use: skip)
    router.post("/projections/{name}/resume", use: resume)
    router.get("/projections/{name}/rebuild", use: rebuildStatus)
    router.post("/projections/rebuild", use: rebuildAll)
    router.post("/projections/{name}/rebuild", use: rebuild)
  }

  @Sendable private func list(_ request: Request, _ context: APIContext) async throws -> Response {
    let reports = try await administration.list()
    return .json([
      "projections": .array(reports.map(\.value)), "count": .integer(Int64(reports.count)),
    ])
  }

  @Sendable private func status(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let name = try context.identifier("name")
    guard let report = try await administration.list().first(where: { $0.name == name }) else {
      throw ProjectionAdministrationError.unknownProjection(name)
    }
    return .json(report.value)
  }

  @Sendable private func skip(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let name = try context.identifier("name")
    let body = try await StrictBody.fields(of: request, known: ["position", "reason", "by"])
    let position = try body.integer("position")
    guard (1...positionMax).contains(position) else {
      throw FieldError("position", .invalid("must be a position of the log"))
    }
    let act = try act("skip", name, body, request, context)
    return Self.done(name, try await administration.skip(name, at: Position(position), act))
  }

  @Sendable private func resume(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let name = try context.identifier("name")
    let body = try await StrictBody.fields(of: request, known: ["reason", "by"])
    let act = try act("resume", name, body, request, context)
    return Self.done(name, try await administration.resume(name, act))
  }

  private func act(
    _ word: String, _ name: String, _ body: Fields, _ request: Request, _ context: APIContext
  ) throws -> OperatorAct {
    let command = try CommandRequest(
      request, context, route: "POST /projections/\(word)", resource: name, body: body,
      serviceName: serviceName)
    return OperatorAct(
      reason: try body.string("reason"), by: try body.stringIfPresent("by") ?? "http",
      context: command.context)
  }

  private static func done(_ name: String, _ position: Position) -> Response {
    .json(
      ["projection": .string(name), "recorded_at": .integer(position.rawValue)],
      status: .accepted, position: position, headers: [.location: "/projections/\(name)"])
  }

  @Sendable private func rebuildStatus(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let name = try context.identifier("name")
    guard let report = try await administration.rebuild(of: name) else {
      throw Problem(.notFound, "\(name) was not rebuilt since this process started")
    }
    return .json(report.value)
  }

  @Sendable private func rebuild(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let expectsSame = try await Self.expectsSame(request)
    let name = try context.identifier("name")
    let report = try await administration.startRebuild(of: name, expectsSame: expectsSame)
    return .json(
      report.value, status: .accepted, headers: [.location: "/projections/\(name)/rebuild"])
  }

  /// Starts those that are not being rebuilt already.
  @Sendable private func rebuildAll(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let expectsSame = try await Self.expectsSame(request)
    var reports: [RebuildReport] = []
    for projection in try await administration.list() {
      do {
        reports.append(
          try await administration.startRebuild(of: projection.name, expectsSame: expectsSame))
      } catch ProjectionAdministrationError.rebuildRunning {
        if let running = try await administration.rebuild(of: projection.name) {
          reports.append(running)
        }
      }
    }
    return .json(
      ["rebuilds": .array(reports.map(\.value)), "count": .integer(Int64(reports.count))],
      status: .accepted, headers: [.location: "/projections"])
  }

  private static func expectsSame(_ request: Request) async throws -> Bool {
    let body = try await StrictBody.fields(
      of: request, known: ["expect_same"], mayBeEmpty: true)
    return try body.boolIfPresent("expect_same") ?? false
  }
}
