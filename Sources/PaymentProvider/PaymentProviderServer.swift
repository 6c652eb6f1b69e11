import EventSourcing
import Hummingbird
import Logging

/// An outside payment provider, simulated: its own HTTP API over its own ledger. It knows nothing of
/// the shop that calls it.
///
/// ```swift
/// let server = PaymentProviderServer(
///   configuration: PaymentProviderConfiguration(host: "127.0.0.1", port: 8001),
///   ledger: InMemoryLedger(), logger: logger)
/// try await server.application().runService()
/// ```
public struct PaymentProviderServer: Sendable {
  let configuration: PaymentProviderConfiguration
  let ledger: any PaymentLedger
  let logger: Logger
  var now: @Sendable () -> Timestamp = { .now }

  public init(
    configuration: PaymentProviderConfiguration, ledger: any PaymentLedger, logger: Logger
  ) {
    self.configuration = configuration
    self.ledger = ledger
    self.logger = logger
  }

  /// The HTTP server as a `Service`. It readies the ledger before it listens, and ends by itself
  /// when the ledger cannot be readied.
  public func application() -> some ApplicationProtocol {
    var application = Application(
      router: router(),
      server: .http1(
        configuration: .init(
          idleTimeout: .seconds(75),
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: 8 * 1024, maxHeaderListSize: 16 * 1024, maxHeaderFieldCount: 100))),
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port),
        availableConnectionsDelegate: .maximum(configuration.connectionsMax, logger: logger)),
      logger: logger)
    application.beforeServerStarts { [ledger] in try await ledger.prepare() }
    return application
  }

  private func router() -> Router<ProviderContext> {
    let cashier = Cashier(
      ledger: ledger, simulator: Simulator(configuration), now: now)
    let router = Router(context: ProviderContext.self)
    router.add(middleware: LogRequestsMiddleware(.debug))
    router.add(
      middleware: ProblemMiddleware(
        heldConnectionMilliseconds: configuration.heldConnectionMilliseconds))
    OperationRoutes(cashier: cashier).add(to: router)
    PaymentRoutes(cashier: cashier).add(to: router)
    ChargeRoutes(cashier: cashier).add(to: router)
    return router
  }
}
