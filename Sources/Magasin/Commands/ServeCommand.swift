import ArgumentParser
import Foundation
import Logging
import Mongo

/// `magasin serve`: one or all roles, behind one HTTP address.
struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve commands, queries and the event store; run projections, sagas and reactors.")

  @OptionGroup var database: DatabaseOptions
  @OptionGroup var options: ServerOptions

  @Option(
    help: ArgumentHelp(
      "Comma-separated: commands, queries, projections, sagas, reactors. Default: all."))
  var roles: String?

  @Option(help: "The payment service. Default: $MAGASIN_PAYMENTS_URL.")
  var payments: String?

  func run() async throws {
    let roles = try self.roles.map(Role.parse) ?? Set(Role.allCases)
    let payments =
      payments ?? ProcessInfo.processInfo.environment["MAGASIN_PAYMENTS_URL"]
      ?? "http://127.0.0.1:8001"
    let server = Server(
      configuration: ServerConfiguration(
        host: options.host, port: options.port, roles: roles, payments: payments,
        paymentDeadlineSeconds: options.paymentDeadline),
      database: try MongoDatabase(database.uri()), logger: Logger(label: "magasin"))
    try await server.run()
  }
}

/// What `serve` and `dev` have in common.
struct ServerOptions: ParsableArguments {
  @Option(help: "The address to listen on. There is no authentication: leave it on loopback.")
  var host = "127.0.0.1"

  @Option(help: "The port to listen on.")
  var port = 8000

  @Option(help: "Seconds until a payment that the provider does not answer counts as failed.")
  var paymentDeadline: Int64 = 60

  func validate() throws {
    guard (1...65535).contains(port) else { throw ValidationError("--port is 1 to 65535.") }
    guard (1...86_400).contains(paymentDeadline) else {
      throw ValidationError("--payment-deadline is 1 to 86400 seconds.")
    }
  }
}
