import Commerce
import EventSourcing
import Hummingbird
import Projections
import Sagas

/// The HTTP side of Magasin: one router over whatever roles a process has.
public struct MagasinAPI {
  /// What the routes work with. The routes of a role that is nil do not exist: they answer 404.
  public struct Services: Sendable {
    public var log: any EventLog
    /// What replays of long streams start from.
    public var snapshots: any SnapshotStore
    /// Whether `/event-store/…` is served.
    public var servesEventStore: Bool
    /// Commands, and the sagas that they start.
    public var shop: Shop?
    /// Queries.
    public var reader: ReadModelReader?
    public var projections: (any ProjectionAdministration)?
    /// What operators do to sagas.
    public var sagas: SagaOperations<OrderFulfilment>?
    public var readiness: @Sendable () async -> ReadinessReport
    /// The metrics in Prometheus' text format.
    public var metricsText: @Sendable () -> String
    /// The text of `docs/openapi.yaml`.
    public var openAPI: String
    /// Written into every commit, and shown at `/`.
    public var serviceName: String
    /// Whether orders wait for too long to be carried out: no more are taken then.
    public var isBehind: @Sendable () -> Bool
    /// Whether an error of the storage means that it cannot be reached now: 503 instead of 500.
    public var isUnavailable: @Sendable (any Error) -> Bool
    /// How long a query waits for `min_position`.
    public var minimumPositionWaitMax: Duration

    public init(
      log: any EventLog, snapshots: any SnapshotStore = InMemorySnapshots(),
      servesEventStore: Bool = true, shop: Shop? = nil,
      reader: ReadModelReader? = nil, projections: (any ProjectionAdministration)? = nil,
      sagas: SagaOperations<OrderFulfilment>? = nil,
      readiness: @escaping @Sendable () async -> ReadinessReport = { ReadinessReport(checks: []) },
      metricsText: @escaping @Sendable () -> String = { "" }, openAPI: String = "",
      serviceName: String = "magasin", isBehind: @escaping @Sendable () -> Bool = { false },
      isUnavailable: @escaping @Sendable (any Error) -> Bool = { _ in false },
      minimumPositionWaitMax: Duration = .seconds(2)
    ) {
      self.log = log
      self.snapshots = snapshots
      self.servesEventStore = servesEventStore
      self.shop = shop
      self.reader = reader
      self.projections = projections
      self.sagas = sagas
      self.readiness = readiness
      self.metricsText = metricsText
      self.openAPI = openAPI
      self.serviceName = serviceName
      self.isBehind = isBehind
      self.isUnavailable = isUnavailable
      self.minimumPositionWaitMax = minimumPositionWaitMax
    }
  }

  /// A router with the routes of the roles that `services` has.
  public static func router(_ services: Services) -> Router<APIContext> {
    let table = RouteTable()
    let router = Router(context: APIContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(
      middleware: EdgeMiddleware(
        admission: Admission(log: services.log, isBehind: services.isBehind),
        problems: ProblemAnswers(routes: table, isUnavailable: services.isUnavailable)))
    OperationalRoutes(services: services).register(on: router)
    if services.servesEventStore {
      let freshness = LogFreshness(
        log: services.log, waitMax: services.minimumPositionWaitMax)
      let reader = EventStoreReader(log: services.log, snapshots: services.snapshots)
      EventStoreRoutes(
        reader: reader, serviceName: services.serviceName, freshness: freshness
      ).register(on: router)
      EventStoreShortRoutes(reader: reader, freshness: freshness).register(on: router)
      SnapshotRoutes(log: services.log, store: services.snapshots).register(on: router)
    }
    if let projections = services.projections {
      ProjectionRoutes(administration: projections, serviceName: services.serviceName)
        .register(on: router)
    }
    registerRoles(of: services, on: router)
    table.fill(from: router)
    return router
  }

  private static func registerRoles(of services: Services, on router: Router<APIContext>) {
    let outcomes = OrderOutcomes(log: services.log)
    let placement = services.shop.map { OrderPlacement(shop: $0, outcomes: outcomes) }
    let queries = services.reader.map {
      Queries(reader: $0, log: services.log, waitMax: services.minimumPositionWaitMax)
    }
    if let placement {
      CommandRoutes(placement: placement, log: services.log, serviceName: services.serviceName)
        .register(on: router)
    }
    if let queries { QueryRoutes(queries: queries).register(on: router) }
    if let sagas = services.sagas {
      SagaActRoutes(operations: sagas, serviceName: services.serviceName).register(on: router)
    }
    SagaRoutes(placement: placement, queries: queries, serviceName: services.serviceName)
      .register(on: router)
  }
}
