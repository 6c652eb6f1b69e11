import EventSourcingMongo
import Foundation
import Mongo

/// One real mongod for all tests of a run: a replica set of one member on a port and in a folder of
/// its own, with test commands on. It ends with the test process, however that ends.
public actor TestMongod {
  public static let shared = TestMongod()
  /// A server of its own for tests that let it fail: a fail point is the whole server's.
  public static let breakable = TestMongod()

  public struct Missing: Error, CustomStringConvertible {
    public let description: String
  }

  private var starting: Task<Int, any Error>?
  private var lifeline: Pipe?

  /// A database of its own on the running server.
  public func database(_ connectionsMax: Int = 16) async throws -> MongoDatabase {
    try MongoDatabase(
      try await uri(), connectionsMax: connectionsMax, waitMax: .seconds(20))
  }

  /// The address of a new database on the running server, started when needed.
  public func uri(options: String = "") async throws -> MongoURI {
    let name = "test_" + UUID().uuidString.prefix(8).lowercased()
    if let given = ProcessInfo.processInfo.environment["MAGASIN_TEST_MONGODB_URI"] {
      return try MongoURI("\(given)/\(name)?replicaSet=rs0&appName=test-\(name)\(options)")
    }
    let port = try await started()
    return try MongoURI(
      "mongodb://127.0.0.1:\(port)/\(name)?replicaSet=rs0&appName=test-\(name)\(options)")
  }

  /// The port on this machine of a server that was started here, whatever the environment names.
  public func port() async throws -> UInt16 { UInt16(try await started()) }

  /// Lets that server fail.
  public func faults() async throws -> ServerFaults {
    try ServerFaults(MongoURI("mongodb://127.0.0.1:\(try await started())/?appName=faults"))
  }

  private func started() async throws -> Int {
    if let starting { return try await starting.value }
    let task = Task { try await start() }
    starting = task
    return try await task.value
  }

  private func start() async throws -> Int {
    let mongod = try Self.findMongod()
    let port = try Self.freePort()
    let folder = Self.roomyFolder().appending(path: "magasin-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let pipe = Pipe()
    lifeline = pipe
    // The shell lives until the pipe closes, which happens when this process ends.
    let script = """
      "$0" --replSet rs0 --bind_ip 127.0.0.1 --port "$1" --dbpath "$2" --logpath "$2/log" \
        --wiredTigerCacheSizeGB 0.5 --setParameter enableTestCommands=1 >/dev/null 2>&1 &
      child=$!
      cat >/dev/null
      kill -9 "$child" 2>/dev/null
      wait "$child" 2>/dev/null
      rm -rf "$2"
      """
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", script, mongod, String(port), folder.path()]
    process.standardInput = pipe
    try process.run()
    try await ReplicaSet.initiate(MongoURI("mongodb://127.0.0.1:\(port)"))
    return port
  }

  /// Memory where there is plenty of it: a disk that others keep busy for seconds is not under test,
  /// and what mongod has written outlives its death there too.
  private static func roomyFolder() -> URL {
    let memory = URL(filePath: "/dev/shm")
    let keys: Set<URLResourceKey> = [.volumeAvailableCapacityKey]
    let free = try? memory.resourceValues(forKeys: keys).volumeAvailableCapacity
    let hasRoom = (free ?? 0) >= 4 << 30
    return hasRoom && FileManager.default.isWritableFile(atPath: memory.path())
      ? memory : FileManager.default.temporaryDirectory
  }

  /// `MAGASIN_MONGOD`, else what scripts/setup has written down, else the PATH.
  public static func findMongod() throws -> String {
    let environment = ProcessInfo.processInfo.environment
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let noted = try? String(
      contentsOf: root.appending(path: ".magasin/mongod.path"), encoding: .utf8)
    let onPath = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/mongod" }
    let candidates =
      [environment["MAGASIN_MONGOD"], noted?.trimmingCharacters(in: .whitespacesAndNewlines)]
      .compactMap { $0 } + onPath
    guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) })
    else {
      throw Missing(
        description: "there is no mongod: run scripts/setup, or set MAGASIN_MONGOD to its path")
    }
    return found
  }

  private static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> UInt16? in
        guard bind(descriptor, pointer, length) == 0,
          getsockname(descriptor, pointer, &length) == 0
        else { return nil }
        return UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr_in.self).pointee.sin_port
          .bigEndian
      }
    }
    guard let port else { throw Missing(description: "no port is free on 127.0.0.1") }
    return Int(port)
  }
}
