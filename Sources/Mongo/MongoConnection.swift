import CMongoC

/// One libmongoc client on a thread of its own. Every call blocks that thread and no other.
public actor MongoConnection {
  private let executor: ThreadExecutor
  private let pool: ClientPool
  public nonisolated let database: String
  private var handle: ClientHandle?
  private var openCursor: CursorHandle?
  private var openStream: ChangeStreamHandle?

  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  init(pool: ClientPool, database: String, name: String, niceness: Int = 0) {
    self.pool = pool
    self.database = database
    executor = ThreadExecutor(name: name, niceness: niceness)
  }

  isolated deinit {
    openCursor = nil
    openStream = nil
    handle = nil
  }

  /// Runs `body` on this connection's thread: several operations for the price of one hop.
  public func run<Result: Sendable>(
    _ body: @Sendable (isolated MongoConnection) throws -> Result
  ) throws -> Result {
    try body(self)
  }

  private func client() throws -> OpaquePointer {
    if let client = handle?.client { return client }
    handle = try pool.pop()
    guard let client = handle?.client else {
      throw MongoError(domain: .notSent, code: 0, operation: "take a client", message: "none")
    }
    return client
  }

  private func withCollection<Result>(
    _ name: String, _ body: (OpaquePointer) throws -> Result
  ) throws -> Result {
    guard let collection = mongoc_client_get_collection(try client(), database, name) else {
      throw MongoError(
        domain: .client, code: 0, operation: "open \(name)", message: "no such name")
    }
    defer { mongoc_collection_destroy(collection) }
    return try body(collection)
  }

  /// Inserts in order; stops at the first error. Documents are sent as they are, unchecked: they
  /// were built by ``BSONWriter``.
  public func insertMany(_ documents: [BSONDocument], into name: String) throws -> WriteReply {
    let options = BSONDocument { writer in
      writer.append("ordered", true)
      writer.append("validate", false)
    }
    return try insert(documents, into: name, options: options)
  }

  private func insert(
    _ documents: [BSONDocument], into name: String, options: BSONDocument
  ) throws -> WriteReply {
    try withCollection(name) { collection in
      try options.withPointer { options in
        try BSONDocument.withHeaders(documents) { pointers in
          let reply = BSONReply()
          var error = bson_error_t()
          var pointers = pointers
          let isDone = mongoc_collection_insert_many(
            collection, &pointers, pointers.count, options, reply.pointer, &error)
          let copied = reply.copied
          let operation = "insert into \(name)"
          return WriteReply(
            copied, error: isDone ? nil : MongoError(error, reply: copied, operation: operation),
            operation: operation)
        }
      }
    }
  }

  /// One write of a bulk.
  public enum Write: Sendable {
    case insert(BSONDocument)
    case replace(filter: BSONDocument, with: BSONDocument, upsert: Bool)
    case update(filter: BSONDocument, with: BSONDocument, upsert: Bool)
    case delete(filter: BSONDocument)
  }

  /// Several writes in one call, in any order (`ordered: false`: an error does not stop the rest).
  public func write(
    _ writes: [Write], to name: String, ordered: Bool = false
  ) throws -> WriteReply {
    let operation = "write to \(name)"
    let options = BSONDocument { $0.append("ordered", ordered) }
    let upsert = BSONDocument { writer in
      writer.append("upsert", true)
      writer.append("validate", false)
    }
    let noUpsert = BSONDocument { $0.append("validate", false) }
    return try withCollection(name) { collection in
      try options.withPointer { options in
        guard let bulk = mongoc_collection_create_bulk_operation_with_opts(collection, options)
        else {
          throw MongoError(domain: .client, code: 0, operation: operation, message: "no bulk")
        }
        defer { mongoc_bulk_operation_destroy(bulk) }
        var error = bson_error_t()
        for write in writes {
          let isTaken: Bool
          switch write {
          case .insert(let document):
            isTaken = try document.withPointer {
              mongoc_bulk_operation_insert_with_opts(bulk, $0, nil, &error)
            }
          case .replace(let filter, let document, let isUpsert):
            isTaken = try BSONDocument.withHeaders([filter, document, isUpsert ? upsert : noUpsert])
            { mongoc_bulk_operation_replace_one_with_opts(bulk, $0[0], $0[1], $0[2], &error) }
          case .update(let filter, let document, let isUpsert):
            isTaken = try BSONDocument.withHeaders([filter, document, isUpsert ? upsert : noUpsert])
            { mongoc_bulk_operation_update_one_with_opts(bulk, $0[0], $0[1], $0[2], &error) }
          case .delete(let filter):
            isTaken = try filter.withPointer {
              mongoc_bulk_operation_remove_one_with_opts(bulk, $0, nil, &error)
            }
          }
          guard isTaken else { throw MongoError(error, operation: operation) }
        }
        let reply = BSONReply()
        let isDone = mongoc_bulk_operation_execute(bulk, reply.pointer, &error) != 0
        let copied = reply.copied
        return WriteReply(
          copied.bulkCounts,
          error: isDone ? nil : MongoError(error, reply: copied, operation: operation),
          operation: operation)
      }
    }
  }

  /// Runs a command that writes (`createIndexes`, `drop` …) with the connection's write concern.
  @discardableResult
  public func writeCommand(_ command: BSONDocument, operation: String) throws -> BSONDocument {
    let client = try client()
    return try command.withPointer { command in
      let reply = BSONReply()
      var error = bson_error_t()
      let isDone = mongoc_client_write_command_with_opts(
        client, database, command, nil, reply.pointer, &error)
      let copied = reply.copied
      guard isDone else { throw MongoError(error, reply: copied, operation: operation) }
      return copied
    }
  }

  /// Runs a command that asks or steers the server itself (`hello`, `ping`, `replSetInitiate` …):
  /// without any read or write concern, which such commands refuse. Never for data.
  @discardableResult
  public func serverCommand(_ command: BSONDocument, operation: String) throws -> BSONDocument {
    let client = try client()
    return try command.withPointer { command in
      let reply = BSONReply()
      var error = bson_error_t()
      let isDone = mongoc_client_command_simple(
        client, "admin", command, nil, reply.pointer, &error)
      let copied = reply.copied
      guard isDone else { throw MongoError(error, reply: copied, operation: operation) }
      return copied
    }
  }

  /// Inserts in any order: an error does not stop the rest.
  public func insertUnordered(_ documents: [BSONDocument], into name: String) throws -> WriteReply {
    let options = BSONDocument { writer in
      writer.append("ordered", false)
      writer.append("validate", false)
    }
    return try insert(documents, into: name, options: options)
  }

  /// Finds documents and decodes each in place, on this thread.
  public func find<Element>(
    _ filter: BSONDocument, in name: String, options: BSONDocument = BSONDocument(),
    decode: (BSONView) throws -> Element
  ) throws -> [Element] {
    try startCursor(filter, in: name, options: options)
    defer { openCursor = nil }
    return try nextElements(limit: .max, decode: decode)
  }

  /// Finds documents and shows each in place, on this thread.
  public func forEach(
    _ filter: BSONDocument, in name: String, options: BSONDocument = BSONDocument(),
    _ body: (BSONView) throws -> Void
  ) throws {
    try startCursor(filter, in: name, options: options)
    defer { openCursor = nil }
    while try nextDocument(body) {}
  }

  /// Runs an aggregation and decodes each result in place, on this thread.
  public func aggregate<Element>(
    _ pipeline: BSONDocument, in name: String, decode: (BSONView) throws -> Element
  ) throws -> [Element] {
    let operation = "aggregate \(name)"
    let cursor: OpaquePointer = try withCollection(name) { collection in
      try pipeline.withPointer { pipeline in
        guard
          let cursor = mongoc_collection_aggregate(
            collection, MONGOC_QUERY_NONE, pipeline, nil, nil)
        else {
          throw MongoError(domain: .client, code: 0, operation: operation, message: "no cursor")
        }
        return cursor
      }
    }
    openCursor = CursorHandle(cursor: cursor, operation: operation)
    defer { openCursor = nil }
    return try nextElements(limit: .max, decode: decode)
  }

  func startCursor(_ filter: BSONDocument, in name: String, options: BSONDocument) throws {
    let operation = "find in \(name)"
    let cursor: OpaquePointer = try withCollection(name) { collection in
      try BSONDocument.withHeaders([filter, options]) { pointers in
        guard
          let cursor = mongoc_collection_find_with_opts(collection, pointers[0], pointers[1], nil)
        else {
          throw MongoError(domain: .client, code: 0, operation: operation, message: "no cursor")
        }
        return cursor
      }
    }
    openCursor = CursorHandle(cursor: cursor, operation: operation)
  }

  /// Up to `limit` elements of the open cursor; fewer at its end.
  func nextElements<Element>(
    limit: Int, decode: (BSONView) throws -> Element
  ) throws -> [Element] {
    var elements: [Element] = []
    while elements.count < limit, try nextDocument({ elements.append(try decode($0)) }) {}
    return elements
  }

  /// Shows the next document of the open cursor; false at its end.
  private func nextDocument(_ body: (BSONView) throws -> Void) throws -> Bool {
    guard let cursor = openCursor?.cursor, let operation = openCursor?.operation else {
      return false
    }
    var document: OpaquePointer?
    if mongoc_cursor_next(cursor, &document), let document {
      let bytes = UnsafeRawBufferPointer(
        start: bson_get_data(document), count: Int(magasin_bson_length(document)))
      try body(BSONView(bytes))
      return true
    }
    var error = bson_error_t()
    if mongoc_cursor_error(cursor, &error) { throw MongoError(error, operation: operation) }
    return false
  }

  func closeCursor() { openCursor = nil }

  /// From now on changes of a collection are noticed by ``waitForChange()``, which blocks for
  /// `milliseconds` at most.
  public func startWaitingForChange(in name: String, milliseconds: Int64) throws {
    openStream = try startStream(name, milliseconds: milliseconds)
  }

  /// Blocks until something has changed or the time is over; true when something has. Only a
  /// doorbell: what has changed is not read.
  public func waitForChange() throws -> Bool {
    guard let stream = openStream?.stream else { return false }
    var document: OpaquePointer?
    if mongoc_change_stream_next(stream, &document) { return true }
    var error = bson_error_t()
    var errorDocument: OpaquePointer?
    if mongoc_change_stream_error_document(stream, &error, &errorDocument) {
      openStream = nil
      throw MongoError(error, operation: "watch a collection")
    }
    return false
  }

  /// Changes are not noticed any longer.
  public func stopWaitingForChange() { openStream = nil }

  private func startStream(_ name: String, milliseconds: Int64) throws -> ChangeStreamHandle {
    let pipeline = BSONDocument { writer in
      writer.appendArray("pipeline") { stages in
        stages.append(
          BSONDocument { stage in stage.appendDocument("$project") { $0.append("_id", int32: 1) } })
      }
    }
    let options = BSONDocument { writer in
      writer.append("maxAwaitTimeMS", milliseconds)
      writer.append("batchSize", int32: 1000)
    }
    let stream: OpaquePointer = try withCollection(name) { collection in
      try BSONDocument.withHeaders([pipeline, options]) { pointers in
        guard let stream = mongoc_collection_watch(collection, pointers[0], pointers[1]) else {
          throw MongoError(domain: .client, code: 0, operation: "watch", message: "no stream")
        }
        return stream
      }
    }
    return ChangeStreamHandle(stream: stream)
  }
}

/// A cursor; destroyed when the handle ends.
struct CursorHandle: ~Copyable {
  let cursor: OpaquePointer
  let operation: String
  deinit { mongoc_cursor_destroy(cursor) }
}

struct ChangeStreamHandle: ~Copyable {
  let stream: OpaquePointer
  deinit { mongoc_change_stream_destroy(stream) }
}

extension BSONDocument {
  /// A bulk's reply with its counts under the names that `insert_many` uses.
  fileprivate var bulkCounts: BSONDocument {
    withView { view in
      BSONDocument { writer in
        let names: [(String, BSONView.Element?)] = [
          ("insertedCount", view["nInserted"]), ("matchedCount", view["nMatched"]),
          ("modifiedCount", view["nModified"]), ("upsertedCount", view["nUpserted"]),
          ("deletedCount", view["nRemoved"]),
        ]
        for (name, element) in names { writer.append(name, element?.integer ?? 0) }
        if let errors = view["writeErrors"]?.array {
          writer.append(array: "writeErrors", errors)
        }
        if let errors = view["writeConcernErrors"]?.array {
          writer.append(array: "writeConcernErrors", errors)
        }
      }
    }
  }
}

extension BSONWriter {
  fileprivate mutating func append(array key: String, _ view: BSONView) {
    let elements = (try? view.elements()) ?? []
    appendArray(key) { array in
      for element in elements { if let view = element.document { array.append(view.copied) } }
    }
  }
}
