import CMongoC

/// Where MongoDB is, with the settings that Magasin's promises rest on.
public struct MongoURI: Sendable, CustomStringConvertible {
  /// As it was given, to be handed on. It may hold a password: never log it.
  public let text: String
  public let database: String
  /// Hosts only, for logs.
  public let description: String

  /// - Parameter text: a `mongodb://` connection string; the database is `magasin` if it names none.
  /// - Throws: ``MongoError`` of domain `client` when it cannot be read.
  public init(_ text: String) throws {
    MongoLibrary.start()
    self.text = text
    let uri = try Self.parse(text)
    defer { mongoc_uri_destroy(uri) }
    database = mongoc_uri_get_database(uri).map { String(cString: $0) } ?? "magasin"
    var hosts: [String] = []
    var host = mongoc_uri_get_hosts(uri)
    while let current = host {
      hosts.append(
        withUnsafePointer(to: current.pointee.host_and_port) { tuple in
          tuple.withMemoryRebound(
            to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)
          ) { String(cString: $0) }
        })
      host = UnsafePointer(current.pointee.next)
    }
    description = hosts.joined(separator: ",")
  }

  private static func parse(_ text: String) throws -> OpaquePointer {
    var error = bson_error_t()
    guard let uri = mongoc_uri_new_with_error(text, &error) else {
      throw MongoError(error, operation: "read the connection string")
    }
    return uri
  }

  /// The settings that Magasin's promises rest on. They are added to the text before it is read:
  /// libmongoc takes write and read concerns from there, and refuses to have them set afterwards.
  private static let settings = [
    ("w", "majority"), ("journal", "true"), ("wtimeoutMS", "4000"),
    ("readConcernLevel", "majority"), ("readPreference", "primary"), ("retryWrites", "true"),
    ("retryReads", "true"), ("serverSelectionTimeoutMS", "5000"), ("connectTimeoutMS", "2000"),
    ("socketTimeoutMS", "8000"), ("heartbeatFrequencyMS", "1000"), ("maxPoolSize", "64"),
    ("waitQueueTimeoutMS", "1000"), ("appName", "magasin"),
  ]

  /// The text with every setting that it does not name itself.
  private var completeText: String {
    let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let given = parts.count > 1 ? String(parts[1]) : ""
    let named = Set(
      given.split(separator: "&").map { $0.prefix { $0 != "=" }.lowercased() })
    let missing = Self.settings.filter { !named.contains($0.0.lowercased()) }
      .map { "\($0.0)=\($0.1)" }
    let hasPath = parts[0].dropFirst("mongodb://".count).contains("/")
    return parts[0] + (hasPath ? "?" : "/?")
      + ([given].filter { !$0.isEmpty } + missing).joined(separator: "&")
  }

  /// libmongoc's form, with a setting added wherever the text names none.
  func withSettings<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
    let uri = try Self.parse(completeText)
    defer { mongoc_uri_destroy(uri) }
    return try body(uri)
  }
}

enum MongoLibrary {
  private static let started: Void = {
    // Its counters, which nobody reads, would be a file in /dev/shm that a killed process leaves.
    setenv("MONGOC_DISABLE_SHM", "1", 0)
    mongoc_init()
    mongoc_log_set_handler(nil, nil)
  }()

  static func start() { _ = started }
}

/// libmongoc's pool: the topology monitor and the clients. Safe to use from any thread
/// (mongoc_client_pool_t's documentation), hence kept as an address.
final class ClientPool: Sendable {
  private let address: UInt

  /// - Parameter answerMax: how long the server may take to answer, where that is not the text's.
  init(_ uri: MongoURI, answerMax: Duration? = nil) throws {
    MongoLibrary.start()
    address = try uri.withSettings { settings in
      if let answerMax {
        let milliseconds = Int32(clamping: Int64(answerMax / .milliseconds(1)))
        mongoc_uri_set_option_as_int32(settings, "sockettimeoutms", milliseconds)
      }
      var error = bson_error_t()
      guard let pool = mongoc_client_pool_new_with_error(settings, &error) else {
        throw MongoError(error, operation: "make the client pool")
      }
      mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2)
      return UInt(bitPattern: pool)
    }
  }

  deinit {
    if let pool = OpaquePointer(bitPattern: address) { mongoc_client_pool_destroy(pool) }
  }

  fileprivate var pointer: OpaquePointer? { OpaquePointer(bitPattern: address) }

  func pop() throws -> ClientHandle {
    guard let pointer, let client = mongoc_client_pool_pop(pointer) else {
      throw MongoError(
        domain: .notSent, code: 0, operation: "take a client", message: "no client is free")
    }
    return ClientHandle(client: client, pool: self)
  }
}

/// A client of the pool; given back when the handle ends.
struct ClientHandle: ~Copyable {
  let client: OpaquePointer
  private let pool: ClientPool

  fileprivate init(client: OpaquePointer, pool: ClientPool) {
    self.client = client
    self.pool = pool
  }

  deinit {
    if let pointer = pool.pointer { mongoc_client_pool_push(pointer, client) }
  }
}
