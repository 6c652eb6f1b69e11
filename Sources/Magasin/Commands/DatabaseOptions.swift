import ArgumentParser
import EventSourcingMongo
import Foundation
import Logging
import Mongo

/// Where the log is.
struct DatabaseOptions: ParsableArguments {
  @Option(
    name: .customLong("mongodb"),
    help: ArgumentHelp(
      "MongoDB's connection string; a replica set. Default: $MAGASIN_MONGODB_URI.",
      valueName: "uri"))
  var address: String?

  func uri() throws -> MongoURI {
    let given = address ?? ProcessInfo.processInfo.environment["MAGASIN_MONGODB_URI"]
    guard let given, !given.isEmpty else {
      throw ValidationError("Say where MongoDB is: --mongodb URI, or MAGASIN_MONGODB_URI.")
    }
    do {
      return try MongoURI(given)
    } catch {
      throw ValidationError("That is no MongoDB connection string: \(given)")
    }
  }

  /// Opens the log, waiting for a server that is still starting.
  func openLog(_ logger: Logger, waitMax: Duration = .seconds(30)) async throws -> MongoLog {
    try await Self.openLog(try MongoDatabase(uri()), logger, waitMax: waitMax)
  }

  static func openLog(
    _ database: MongoDatabase, readers: MongoDatabase? = nil, outstandingMax: Int = 20_000,
    _ logger: Logger, waitMax: Duration = .seconds(30)
  ) async throws -> MongoLog {
    let deadline = ContinuousClock.now + waitMax
    while true {
      do {
        return try await MongoLog.open(
          database, readers: readers, outstandingMax: outstandingMax, logger: logger)
      } catch let error as MongoError {
        guard error.isTransient || error.domain == .notSent, .now < deadline else {
          throw CommandFailure(
            description: "MongoDB at \(database.uri) cannot be used: \(error.message)")
        }
        logger.info("waiting for MongoDB", metadata: ["hosts": "\(database.uri)"])
        try await Task.sleep(for: .seconds(1))
      }
    }
  }
}
