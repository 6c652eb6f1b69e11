import ArgumentParser
import Logging
import Mongo
import PaymentProvider
import ServiceLifecycle

/// `magasin payments`: the payment provider, simulated, as a process of its own.
struct PaymentsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "payments",
    abstract: "Run the payment service: an outside provider, simulated, with its own ledger.")

  @OptionGroup var database: DatabaseOptions

  @Option(help: "The address to listen on. There is no authentication: leave it on loopback.")
  var host = "127.0.0.1"

  @Option(help: "The port to listen on.")
  var port = 8001

  @Option(help: "Milliseconds that every answer takes.")
  var latencyMilliseconds: Int64 = 0

  @Option(help: "The share of payments that fail, 0 to 1.")
  var failureRate = "0"

  @Option(help: "Comma-separated codes of those failures. Default: the three declines.")
  var failureCodes: String?

  @Option(help: "The seed of the failures: the same seed, the same failures.")
  var seed: UInt64 = 1

  func run() async throws {
    var configuration = PaymentProviderConfiguration(host: host, port: port)
    configuration.latencyMilliseconds = latencyMilliseconds
    configuration.seed = seed
    guard let rate = FailureRate(failureRate) else {
      throw ValidationError("--failure-rate is a number from 0 to 1, such as 0.25.")
    }
    configuration.failureRate = rate
    if let failureCodes {
      configuration.failureCodes = try failureCodes.split(separator: ",").map { name in
        guard let code = FailureCode(rawValue: String(name)) else {
          let known = FailureCode.allCases.map(\.rawValue).joined(separator: ", ")
          throw ValidationError("There is no failure code '\(name)'. Codes: \(known).")
        }
        return code
      }
    }
    let logger = Logger(label: "payments")
    let server = PaymentProviderServer(
      configuration: configuration,
      ledger: MongoLedger(database: try MongoDatabase(database.uri())),
      logger: logger)
    let group = ServiceGroup(
      services: [server.application()], gracefulShutdownSignals: [.sigterm, .sigint],
      logger: logger)
    try await group.run()
  }
}
