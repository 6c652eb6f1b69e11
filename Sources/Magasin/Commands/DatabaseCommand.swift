import ArgumentParser
import EventSourcingMongo
import Mongo

/// `magasin database init`: what mongosh would do, for machines that have none.
struct DatabaseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "database", abstract: "Prepare MongoDB.", subcommands: [Init.self])

  struct Init: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a one-member replica set of a new mongod; wait until it takes writes.")

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
      let uri = try database.uri()
      do {
        try await ReplicaSet.initiate(uri)
      } catch let error as MongoError {
        throw CommandFailure(description: "MongoDB at \(uri): \(error.message)")
      }
      print("MongoDB at \(uri) takes writes.")
    }
  }
}
