import ArgumentParser
import EventSourcingMongo
import Foundation
import Logging
import Mongo
import Sagas

/// `magasin dev`: everything on this machine, by one command: MongoDB, the payment service, all
/// roles, demo data. Ctrl-C ends all of it; the data stays in its folder.
struct DevCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dev", abstract: "Run everything on this machine (what scripts/run starts).")

  @OptionGroup var options: ServerOptions

  @Option(help: "The folder for MongoDB's files and the logs.")
  var data = ".magasin/data"

  @Option(help: "The mongod to start. Default: $MAGASIN_MONGOD, else the one on the PATH.")
  var mongod: String?

  @Option(help: ArgumentHelp("Use this MongoDB and start none.", valueName: "uri"))
  var mongodb: String?

  @Option(help: ArgumentHelp("Use this payment service and start none.", valueName: "url"))
  var payments: String?

  @Flag(inversion: .prefixedNo, help: "Add the demo data on the first start.")
  var demo = true

  func run() async throws {
    let logger = Logger(label: "magasin")
    let folder = URL(filePath: data, directoryHint: .isDirectory).absoluteURL
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      throw CommandFailure(description: "The folder \(folder.path()) cannot be made.")
    }
    let world = DevelopmentWorld(folder: folder, logger: logger)
    defer { world.end() }
    try world.checkPort(options.port)
    let uri =
      if let mongodb { try MongoURI(mongodb) } else { try await world.startMongod(mongod) }
    let provider =
      if let payments { payments } else { try await world.startPayments(uri, near: options.port) }
    let port = options.port
    let addsDemo = demo
    let server = Server(
      configuration: ServerConfiguration(
        host: options.host, port: port, roles: Set(Role.allCases), payments: provider,
        paymentDeadlineSeconds: options.paymentDeadline, saga: try options.orderSaga(),
        participants: Set(Participant.allCases)),
      database: try MongoDatabase(uri), logger: logger)
    if addsDemo {
      let log = try await DatabaseOptions.openLog(server.database, logger)
      _ = try await DemoData.add(to: DevelopmentWorld.shop(log))
    }
    try world.notePids()
    try await server.run {
      DevelopmentWorld.greet(
        port: port, mongodb: mongodb == nil ? uri.text : uri.description, payments: provider,
        folder: folder)
    }
    logger.info("ending")
  }
}
