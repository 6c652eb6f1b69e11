import EventSourcing
import Hummingbird

/// `/projections/…`: where the read models stand, and their rebuilds.
struct ProjectionRoutes {
  let administration: any ProjectionAdministration

  func register(on router: Router<APIContext>) {
    router.get("/projections", use: list)
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
    _ = try await StrictBody.fields(of: request, known: [], mayBeEmpty: true)
    let name = try context.identifier("name")
    let report = try await administration.startRebuild(of: name)
    return .json(
      report.value, status: .accepted, headers: [.location: "/projections/\(name)/rebuild"])
  }

  /// Starts those that are not being rebuilt already.
  @Sendable private func rebuildAll(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    _ = try await StrictBody.fields(of: request, known: [], mayBeEmpty: true)
    var reports: [RebuildReport] = []
    for projection in try await administration.list() {
      do {
        reports.append(try await administration.startRebuild(of: projection.name))
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
}
