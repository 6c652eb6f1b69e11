import API
import Commerce
import EventSourcing
import EventSourcingMongo
import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import Metrics
import Mongo
import NIOCore
import PaymentClient
import Projections
import Sagas
import ServiceLifecycle

struct ServerConfiguration: Sendable {
  var host: String
  var port: Int
  var roles: Set<Role>
  var payments: String
  var paymentDeadlineSeconds: Int64
  /// Who carries out the orders that do not say.
  var saga: OrderSaga
  /// Who takes part in choreographies here, in the role `sagas`.
  var participants: Set<Participant>
}

/// The composition root: puts the parts of the chosen roles together and runs them until the
/// process is told to end.
struct Server {
  /// Connections at once; more wait in the listen queue.
  private static let connectionsMax = 4096
  /// Appends without an outcome; beyond it commands are refused with 503. A fraction of a second's
  /// work: who would wait longer is better told at once.
  private static let outstandingAppendsMax = 1_000
  private static let outstandingPaymentsMax = 20_000
  /// Orders that are known to the sagas and not carried out.
  private static let outstandingSagasMax = 20_000
  static let connections = HTTP1Channel.Configuration(
    idleTimeout: .seconds(60),
    httpDecoderConfiguration: .init(
      maxHeaderFieldSize: 8 * 1024, maxHeaderListSize: 16 * 1024, maxHeaderFieldCount: 100))

  let configuration: ServerConfiguration
  let database: MongoDatabase
  let logger: Logger

  /// Runs until SIGTERM or SIGINT.
  /// - Parameter onListening: called when requests are answered.
  func run(onListening: @escaping @Sendable () async -> Void = {}) async throws {
    let background = try MongoDatabase(database.uri, niceness: Background.niceness)
    let log = try await DatabaseOptions.openLog(
      database, readers: background, outstandingMax: Self.outstandingAppendsMax, logger)
    if !["127.0.0.1", "localhost", "::1"].contains(configuration.host) {
      logger.warning(
        "listening beyond this machine without authentication",
        metadata: ["host": "\(configuration.host)"])
    }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: try services(log, background, onListening: onListening).map {
          .init(
            service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .cancelGroup)
        },
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    do {
      try await group.run()
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      throw CommandFailure(
        description:
          "Port \(configuration.port) on \(configuration.host) is taken: choose another by --port.")
    }
  }

  private func services(
    _ log: MongoLog, _ background: MongoDatabase,
    onListening: @escaping @Sendable () async -> Void
  ) throws -> [any Service] {
    let roles = configuration.roles
    let store = MongoReadModels(background)
    // Queries have connections of their own: workers that catch up must not keep readers waiting.
    let queryStore = MongoReadModels(try MongoDatabase(database.uri))
    let board = ProjectionBoard()
    let snapshots = MongoSnapshots(database)
    let shop = Shop(
      log: log, paymentDeadlineSeconds: configuration.paymentDeadlineSeconds,
      defaultSaga: configuration.saga, snapshots: snapshots)
    let monitor = DatabaseMonitor(database)
    let running = RunningSagas()
    let admission = Admission()
    var services: [any Service] = [monitor]
    var subscriptions: [Subscription] = []
    var fulfilment: Subscription?
    if !roles.isDisjoint(with: [.projections, .sagas, .reactors]) {
      services.append(ChangeStreamDoorbell(log, logger: logger))
    }
    let process = ProcessIdentity.process
    if roles.contains(.projections) {
      let reader = SharedReader(log)
      services += ReadModels.all.map {
        Background.Hosted(service: driver($0, reader, store, board, process))
      }
      let watcher = ReadModelReader(store: store, board: board)
      services += [
        Background.Hosted(
          service: StuckOrdersGauge(queries: ChoreographyQueries(reader: watcher), board: board)),
        Background.Hosted(
          service: SagaGauges(queries: SagaQueries(reader: watcher), board: board)),
      ]
    }
    if roles.contains(.sagas) {
      let sagas = sagas(log, store, shop, running)
      fulfilment = sagas.first
      subscriptions += sagas
    }
    if roles.contains(.reactors) {
      let gateway = HTTPPaymentGateway(baseURL: configuration.payments)
      subscriptions += reactors(log, store, shop, gateway)
      services.append(gateway)
    }
    services += subscriptions.map { Background.Carrying(service: $0) }
    let rebuilds = ProjectionOperator(
      log: log, store: store, board: board, process: process, logger: logger)
    if roles.contains(.projections) { services.append(Background.Hosted(service: rebuilds)) }
    let gauges = ServerGauges(
      log: log, board: board, subscriptions: subscriptions, rebuilds: rebuilds,
      monitor: monitor, sagas: running)
    let reader = ReadModelReader(store: queryStore, board: board)
    let sagas = SagaQueries(reader: reader)
    let router = MagasinAPI.router(
      MagasinAPI.Services(
        log: log, snapshots: snapshots,
        servesEventStore: !roles.isDisjoint(with: [.commands, .queries]),
        shop: roles.contains(.commands) ? shop : nil,
        reader: roles.contains(.queries) ? reader : nil,
        projections: roles.contains(.projections) ? rebuilds : nil,
        sagas: roles.contains(.commands)
          ? SagaOperations(log: log) { try await sagas.select($0, limit: $1) } : nil,
        readiness: {
          await Readiness(board: board, monitor: monitor, roles: roles).report()
        },
        metricsText: {
          gauges.update()
          return PrometheusRegistry.shared.text
        }, openAPI: OpenAPIDocument.text, serviceName: "magasin",
        isBehind: { [fulfilment] in
          guard let (begun, waiting) = fulfilment?.beginnings else { return false }
          return admission.refuses(begun: begun, waiting: waiting)
        },
        isUnavailable: { ($0 as? MongoError).map { $0.isTransient } ?? false }))
    services.append(application(router, onListening: onListening))
    services.append(ShutdownLimit(logger: logger))
    return services
  }

  private func application(
    _ router: Router<APIContext>, onListening: @escaping @Sendable () async -> Void
  ) -> some ApplicationProtocol {
    Application(
      router: router,
      server: .http1(configuration: Self.connections),
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port),
        serverName: "magasin",
        availableConnectionsDelegate: .maximum(Self.connectionsMax, logger: logger)),
      onServerRunning: { _ in await onListening() }, logger: logger)
  }

  private func driver<P: Projection>(
    _ projection: P, _ reader: SharedReader, _ store: MongoReadModels,
    _ board: ProjectionBoard, _ process: LeaseProcess
  ) -> any Service {
    ProjectionDriver(
      projection, reader: reader, store: store, board: board, logger: logger, process: process)
  }

  private func sagas(
    _ log: MongoLog, _ store: MongoReadModels, _ shop: Shop, _ running: RunningSagas
  ) -> [Subscription] {
    let dispatcher = OrderCommandDispatcher(shop: shop)
    let policies = Participant.allCases.filter(configuration.participants.contains).map {
      $0.policy(log: log, shop: shop, dispatcher: dispatcher, logger: logger)
    }
    let orchestrated = Subscription(
      name: OrderFulfilment.name, log: log, checkpoints: store, logger: logger,
      process: ProcessIdentity.process, outstandingMax: Self.outstandingSagasMax,
      begins: OrderFulfilment.begins(with:)
    ) { position in
      let session = SagaSession<OrderFulfilment>(
        log: log, dispatcher: dispatcher, logger: logger,
        settings: [
          OrderFulfilment.Settings.paymentDeadlineKey: configuration.paymentDeadlineSeconds
        ], waiting: { try await SagaQueries.waiting(in: store) })
      running.begin(session)
      return try await session.begin(after: position)
    }
    return [orchestrated]
      + policies.map { policy in
        Subscription(
          name: policy.name, log: log, checkpoints: store, logger: logger,
          process: ProcessIdentity.process, key: policy.key(for:), handle: policy.handle)
      }
  }

  private func reactors(
    _ log: MongoLog, _ store: MongoReadModels, _ shop: Shop, _ gateway: HTTPPaymentGateway
  ) -> [Subscription] {
    let notifications = NotificationReactor(
      shop: shop, channel: LogChannel(logger: logger), logger: logger)
    let payments = PaymentReactor(shop: shop, gateway: gateway, logger: logger)
    return [
      Subscription(
        name: PaymentReactor.name, log: log, checkpoints: store, logger: logger,
        process: ProcessIdentity.process, outstandingMax: Self.outstandingPaymentsMax,
        lanesMax: Self.outstandingPaymentsMax, key: payments.key(for:), handle: payments.handle
      ),
      Subscription(
        name: NotificationReactor.name, log: log, checkpoints: store, logger: logger,
        process: ProcessIdentity.process, key: notifications.key(for:), handle: notifications.handle
      ),
    ]
  }
}
