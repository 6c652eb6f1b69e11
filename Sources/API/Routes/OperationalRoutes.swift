import EventSourcing
import Hummingbird

/// Health, metrics, the API's own description, and the index at `/`.
struct OperationalRoutes {
  let services: MagasinAPI.Services

  func register(on router: Router<APIContext>) {
    router.get("/", use: index)
    router.get("/health/live", use: live)
    router.get("/health/ready", use: ready)
    router.get("/metrics", use: metrics)
    router.get("/openapi.yaml", use: openAPI)
  }

  @Sendable private func index(_ request: Request, _ context: APIContext) -> Response {
    var links: [(String, Value)] = []
    if services.shop != nil {
      links += [("place_order", "/cqrs/commands/orders"), ("start_saga", "/saga/order")]
    }
    if services.reader != nil {
      links += [
        ("recent_orders", "/cqrs/queries/orders/recent"),
        ("inventory", "/cqrs/queries/inventory"),
        ("order_statistics", "/cqrs/queries/statistics/orders"), ("sagas", "/sagas"),
      ]
    }
    if services.servesEventStore {
      links += [
        ("events", "/event-store/api/v1/events"),
        ("event_statistics", "/event-store/api/v1/statistics"),
      ]
    }
    if services.projections != nil { links.append(("projections", "/projections")) }
    links += [
      ("openapi", "/openapi.yaml"), ("live", "/health/live"), ("ready", "/health/ready"),
      ("metrics", "/metrics"),
    ]
    return .json([
      "service": .string(services.serviceName), "status": "running",
      "links": .object(Fields(links)),
    ])
  }

  @Sendable private func live(_ request: Request, _ context: APIContext) -> Response {
    .json(["status": "live", "service": .string(services.serviceName)])
  }

  @Sendable private func ready(_ request: Request, _ context: APIContext) async -> Response {
    let report = await services.readiness()
    return .json(
      report.value(service: services.serviceName),
      status: report.isReady ? .ok : .serviceUnavailable)
  }

  @Sendable private func metrics(_ request: Request, _ context: APIContext) -> Response {
    .text(services.metricsText(), contentType: "text/plain; version=0.0.4; charset=utf-8")
  }

  @Sendable private func openAPI(_ request: Request, _ context: APIContext) -> Response {
    .text(services.openAPI, contentType: "application/yaml; charset=utf-8")
  }
}
