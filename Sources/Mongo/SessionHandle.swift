import CMongoC

/// A client session with one transaction; ended, and the transaction with it, when the handle ends.
struct SessionHandle: ~Copyable {
  /// How long a commit whose outcome is unknown is sent again.
  private static let commitMax: Duration = .seconds(10)

  let session: OpaquePointer

  deinit { mongoc_client_session_destroy(session) }

  private init(session: OpaquePointer) { self.session = session }

  /// Starts a transaction. It names its concerns itself: a transaction does not take those of the
  /// database or the collection (libmongoc, "Using Transactions").
  static func start(on client: OpaquePointer) throws -> SessionHandle {
    let operation = "start a transaction"
    var error = bson_error_t()
    guard let session = mongoc_client_start_session(client, nil, &error) else {
      throw MongoError(error, operation: operation)
    }
    let handle = SessionHandle(session: session)
    let options = mongoc_transaction_opts_new()
    defer { mongoc_transaction_opts_destroy(options) }
    let reads = mongoc_read_concern_new()
    defer { mongoc_read_concern_destroy(reads) }
    mongoc_read_concern_set_level(reads, "snapshot")
    mongoc_transaction_opts_set_read_concern(options, reads)
    let writes = mongoc_write_concern_new()
    defer { mongoc_write_concern_destroy(writes) }
    mongoc_write_concern_set_wmajority(writes, 4000)
    mongoc_write_concern_set_journal(writes, true)
    mongoc_transaction_opts_set_write_concern(options, writes)
    guard mongoc_client_session_start_transaction(session, options, &error) else {
      throw MongoError(error, operation: operation)
    }
    return handle
  }

  func abort() { _ = mongoc_client_session_abort_transaction(session, nil) }

  func commit() throws {
    let deadline = ContinuousClock.now + Self.commitMax
    while true {
      let reply = BSONReply()
      var error = bson_error_t()
      if mongoc_client_session_commit_transaction(session, reply.pointer, &error) { return }
      let failure = MongoError(error, reply: reply.copied, operation: "commit a transaction")
      guard failure.labels.contains("UnknownTransactionCommitResult"), .now < deadline else {
        throw failure
      }
    }
  }
}
