import ArgumentParser
import Commerce
import Foundation
import Logging
import Mongo
import Sagas

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

  @Option(
    help: ArgumentHelp(
      "Comma-separated: who takes part in choreographies here, in the role sagas: inventory, "
        + "payments, orders. Default: all.", visibility: .hidden))
  var participants: String?

  func run() async throws {
    let participants = try self.participants.map(Participant.parse) ?? Set(Participant.allCases)
    let roles = try self.roles.map(Role.parse) ?? Set(Role.allCases)
    let payments =
      payments ?? ProcessInfo.processInfo.environment["MAGASIN_PAYMENTS_URL"]
      ?? "http://127.0.0.1:8001"
    let server = Server(
      configuration: ServerConfiguration(
        host: options.host, port: options.port, roles: roles, payments: payments,
        paymentDeadlineSeconds: options.paymentDeadline, saga: try options.orderSaga(),
        participants: participants),
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

  @Option(
    help: ArgumentHelp(
      "Who carries out orders that do not say: orchestrated or choreographed. Default: "
        + "$MAGASIN_SAGA, else orchestrated."))
  var saga: String?

  func orderSaga() throws -> OrderSaga {
    let given = saga ?? ProcessInfo.processInfo.environment["MAGASIN_SAGA"]
    guard let given, !given.isEmpty else { return .orchestrated }
    guard let saga = OrderSaga(rawValue: given) else {
      throw ValidationError("--saga is orchestrated or choreographed, not '\(given)'.")
    }
    return saga
  }

  func validate() throws {
    _ = try orderSaga()
    guard (1...65535).contains(port) else { throw ValidationError("--port is 1 to 65535.") }
    guard (1...86_400).contains(paymentDeadline) else {
      throw ValidationError("--payment-deadline is 1 to 86400 seconds.")
    }
  }
}

extension Participant {
  /// Reads `inventory,orders`; nothing for a process that takes no part.
  static func parse(_ text: String) throws -> Set<Participant> {
    let names = text.split(separator: ",").map { $0.trimmingPrefix { $0 == " " } }
    let participants = try names.map { name in
      guard let participant = Participant(rawValue: String(name)) else {
        let known = allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("There is no participant '\(name)'. Participants: \(known).")
      }
      return participant
    }
    return Set(participants)
  }
}
