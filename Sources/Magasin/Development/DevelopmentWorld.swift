import Commerce
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Mongo

/// The processes around a development server, and the folder that they keep their files in.
final class DevelopmentWorld {
  private let folder: URL
  private let logger: Logger
  private var children: [ChildProcess] = []

  init(folder: URL, logger: Logger) {
    self.folder = folder
    self.logger = logger
  }

  static func shop(_ log: MongoLog) -> Shop { Shop(log: log) }

  func checkPort(_ port: Int) throws {
    guard LoopbackPort.isFree(port) else {
      throw CommandFailure(
        description: "Port \(port) is taken: end what listens there, or choose another by --port.")
    }
  }

  /// Starts mongod on the port that this folder's replica set was made with.
  func startMongod(_ given: String?) async throws -> MongoURI {
    let program = try Self.findMongod(given)
    let database = folder.appending(path: "mongodb", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: database, withIntermediateDirectories: true)
    let portFile = folder.appending(path: "mongod.port")
    let port: Int
    if let noted = (try? String(contentsOf: portFile, encoding: .utf8)).flatMap({
      Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
    }) {
      guard LoopbackPort.isFree(noted) else {
        throw CommandFailure(
          description:
            "Port \(noted), where the MongoDB of \(folder.path()) belongs, is taken: does another magasin run on this folder?"
        )
      }
      port = noted
    } else {
      port = try LoopbackPort.free(preferring: 27_117)
      try String(port).write(to: portFile, atomically: true, encoding: .utf8)
    }
    logger.info("starting mongod", metadata: ["port": "\(port)", "folder": "\(database.path())"])
    let child = try ChildProcess(
      "mongod",
      command: [
        program, "--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", "\(port)", "--dbpath",
        database.path(), "--wiredTigerCacheSizeGB", "1", "--networkMessageCompressors",
        "snappy,zstd", "--quiet",
      ], folder: folder)
    children.append(child)
    let uri = try MongoURI("mongodb://127.0.0.1:\(port)/magasin?replicaSet=rs0")
    do {
      try await ReplicaSet.initiate(uri)
    } catch {
      let log = folder.appending(path: "mongod.log").path()
      throw CommandFailure(description: "mongod does not start; its log is \(log).")
    }
    return uri
  }

  func startPayments(_ uri: MongoURI, near port: Int) async throws -> String {
    let chosen = try LoopbackPort.free(preferring: port + 1)
    logger.info("starting the payment service", metadata: ["port": "\(chosen)"])
    let child = try ChildProcess(
      "payments",
      command: [
        "/usr/bin/env", "MAGASIN_MONGODB_URI=\(uri.text)",
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"), "payments",
        "--port", "\(chosen)",
      ], folder: folder)
    children.append(child)
    let deadline = ContinuousClock.now + .seconds(30)
    while !LoopbackPort.isListening(chosen) {
      guard child.isRunning, .now < deadline else {
        let log = folder.appending(path: "payments.log").path()
        throw CommandFailure(
          description: "The payment service does not start; its log is \(log).")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
    return "http://127.0.0.1:\(chosen)"
  }

  /// Writes `pids.json`: who is who, for people and for tests.
  func notePids() throws {
    var pids: Fields = ["server": .integer(Int64(ProcessInfo.processInfo.processIdentifier))]
    for child in children { pids[child.name] = child.pid.map { .integer(Int64($0)) } ?? .null }
    try JSONWriter.text(.object(pids)).write(
      to: folder.appending(path: "pids.json"), atomically: true, encoding: .utf8)
  }

  /// Ends the children, the last one started first.
  func end() {
    for child in children.reversed() { child.end() }
    children = []
    try? FileManager.default.removeItem(at: folder.appending(path: "pids.json"))
  }

  private static func findMongod(_ given: String?) throws -> String {
    let environment = ProcessInfo.processInfo.environment
    let onPath = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/mongod" }
    let candidates = [given, environment["MAGASIN_MONGOD"]].compactMap { $0 } + onPath
    guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) })
    else {
      throw CommandFailure(
        description: "There is no mongod: run scripts/setup, or give --mongod PATH.")
    }
    return found
  }

  static func greet(port: Int, mongodb: String, payments: String, folder: URL) {
    let address = "http://127.0.0.1:\(port)"
    let greeting = """

      Magasin is running. Ctrl-C ends it; the data stays in \(folder.path()).

        API        \(address)  (\(address)/openapi.yaml)
        MongoDB    \(mongodb)
        Payments   \(payments)

      Place an order, look at it, look at its events:

        curl -si \(address)/cqrs/commands/orders -d '{"user_id":456,"product_id":101,"quantity":1}'
        curl -s \(address)/cqrs/queries/users/456/orders
        curl -s '\(address)/event-store/api/v1/events?limit=10'


      """
    FileHandle.standardOutput.write(Data(greeting.utf8))
  }
}
