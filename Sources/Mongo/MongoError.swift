/// What went wrong in an operation on MongoDB, as values: decide by these, never by the text.
public struct MongoError: Error, Sendable, CustomStringConvertible {
  /// libmongoc's error domains that matter here (mongoc-error.h).
  public enum Domain: Sendable, Hashable {
    /// No server could be selected, or no connection was free: nothing was sent.
    case notSent
    /// The connection failed while the operation was under way.
    case network
    /// The server refused or failed.
    case server
    /// The write was done, but not (yet) as durably as asked.
    case writeConcern
    /// The call itself was wrong.
    case client
  }

  public var domain: Domain
  /// The server's or the driver's code.
  public var code: Int32
  public var labels: [String]
  /// As in `insert log`.
  public var operation: String
  /// For logs. Never shown to clients.
  public var message: String

  public init(
    domain: Domain, code: Int32, labels: [String] = [], operation: String, message: String
  ) {
    self.domain = domain
    self.code = code
    self.labels = labels
    self.operation = operation
    self.message = message
  }

  public var isDuplicateKey: Bool { domain == .server && [11000, 11001, 12582].contains(code) }

  /// Errors of a server that is stepping down or shutting down: after a send the outcome of a
  /// write is unknown (RetryableWriteError codes of the driver specification).
  public static let stateChangeCodes: Set<Int32> = [
    10107, 13435, 13436, 91, 189, 11600, 11602, 9001, 6, 7, 89, 262, 64, 24,
  ]

  /// Whether a write that failed with this may nevertheless have been done.
  public var isOutcomeUnknown: Bool {
    switch domain {
    case .notSent, .client: false
    case .network, .writeConcern: true
    case .server: Self.stateChangeCodes.contains(code)
    }
  }

  /// Whether the same operation may succeed later without anybody changing it.
  public var isTransient: Bool {
    switch domain {
    case .notSent, .network, .writeConcern: true
    case .client: false
    case .server:
      Self.stateChangeCodes.contains(code) || labels.contains("RetryableWriteError")
        || labels.contains("TransientTransactionError")
    }
  }

  public var description: String {
    "MongoDB: \(operation) failed (\(domain), code \(code)): \(message)"
  }
}
