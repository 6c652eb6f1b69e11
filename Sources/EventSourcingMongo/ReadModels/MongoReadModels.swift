import EventSourcing
import Mongo
import Synchronization

/// Rows, checkpoints and pointers in MongoDB. A row is `{_id, position, …fields}`.
public final class MongoReadModels: ReadModelStore {
  private static let checkpointCollection = "checkpoints"

  private static let indexingMax: Duration = .seconds(6 * 3600)

  let database: MongoDatabase
  let combiner: SaveCombiner
  private let patientDatabase = Mutex<MongoDatabase?>(nil)

  public init(_ database: MongoDatabase) {
    self.database = database
    combiner = SaveCombiner(database)
  }

  /// Over connections of its own that wait: the indexes of a large collection take minutes. In two
  /// halves, since MongoDB builds all indexes of one command on one core.
  public func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws {
    let half = (indexes.count + 1) / 2
    async let first: Void = create(indexes.prefix(half), of: collection)
    try await create(indexes.dropFirst(half), of: collection)
    try await first
  }

  private func create(_ indexes: ArraySlice<ReadModelIndex>, of collection: String) async throws {
    guard !indexes.isEmpty else { return }
    let command = BSONDocument { writer in
      writer.append("createIndexes", collection)
      writer.appendArray("indexes") { array in
        for index in indexes { array.append(Self.document(of: index)) }
      }
    }
    do {
      _ = try await patient().withConnection {
        try $0.writeCommand(command, operation: "create indexes of \(collection)")
      }
    } catch let error as MongoError where error.domain == .writeConcern {
      // Built, and not yet known to be so on a majority: nothing depends on that.
    }
  }

  private func patient() throws -> MongoDatabase {
    try patientDatabase.withLock { kept in
      let patient =
        try kept ?? MongoDatabase(database.uri, connectionsMax: 8, answerMax: Self.indexingMax)
      kept = patient
      return patient
    }
  }

  private static func document(of index: ReadModelIndex) -> BSONDocument {
    let keys = index.keys + [ReadModelIndex.Key("_id", isDescending: isDescending(index))]
    return BSONDocument { writer in
      writer.append("name", index.keys.map(\.field).joined(separator: "_"))
      writer.appendDocument("key") { writer in
        for key in keys { writer.append(key.field, int32: key.isDescending ? -1 : 1) }
      }
      if index.isOfTexts, let last = index.keys.last {
        writer.appendDocument("partialFilterExpression") { writer in
          writer.appendDocument(last.field) { $0.append("$gte", "") }
        }
      }
    }
  }

  private static func isDescending(_ index: ReadModelIndex) -> Bool {
    index.keys.last?.isDescending ?? false
  }

  public func drop(_ collection: String) async throws {
    do {
      _ = try await database.withConnection {
        try $0.writeCommand(
          BSONDocument { $0.append("drop", collection) }, operation: "drop \(collection)")
      }
    } catch let error as MongoError where error.code == 26 {
      // NamespaceNotFound: there was nothing to drop.
    }
  }

  public func load(
    _ ids: [String], from collection: String
  ) async throws -> [String: StoredRow] {
    let rows = try await database.withConnection { connection in
      try connection.find(Self.anyOf(ids), in: collection, decode: Self.row)
    }
    return Dictionary(rows.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  private static func anyOf(_ ids: [String]) -> BSONDocument {
    BSONDocument { writer in
      if ids.count == 1 {
        writer.append("_id", ids[0])
      } else {
        writer.appendDocument("_id") { writer in
          writer.appendArray("$in") { array in for id in ids { array.append(id) } }
        }
      }
    }
  }

  /// Absolute values guarded by the position. Where the stored row is as new or newer the filter
  /// matches nothing and the upsert meets the row's own id: a duplicate key, which means "done".
  /// It may also mean that another writer has just made an older row, so those are sent once more,
  /// without the upsert.
  public func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    let met = try await replace(rows, in: collection, upsert: true, before: deadline)
    if !met.isEmpty {
      _ = try await replace(met, in: collection, upsert: false, before: deadline)
    }
  }

  /// Answers the rows that met a duplicate key.
  private func replace(
    _ rows: [StoredRow], in collection: String, upsert: Bool,
    before deadline: ContinuousClock.Instant?
  ) async throws -> [StoredRow] {
    let writes = rows.map { Self.replacement(of: $0, upsert: upsert) }
    let reply = try await database.withConnection { connection in
      // Here, on the connection's thread, nothing comes between the look at the clock and the send.
      if let deadline, .now >= deadline { throw LeaseLost() }
      return try connection.write(writes, to: collection)
    }
    if let failure = reply.failure { throw failure }
    if let concern = reply.writeConcernError { throw concern }
    if let error = reply.writeErrors.first(where: { !$0.isDuplicateKey }) {
      throw MongoError(
        domain: .server, code: error.code, operation: "write rows of \(collection)",
        message: error.message)
    }
    return reply.writeErrors.map { rows[$0.index] }
  }

  private static func replacement(of row: StoredRow, upsert: Bool) -> MongoConnection.Write {
    .replace(
      filter: BSONDocument { writer in
        writer.append("_id", row.id)
        writer.appendDocument("position") { $0.append("$lt", row.position) }
      }, with: document(of: row), upsert: upsert)
  }

  static func document(of row: StoredRow) -> BSONDocument {
    BSONDocument(capacity: 1536) { writer in
      writer.append("_id", row.id)
      writer.append("position", row.position)
      writer.append(row.fields)
    }
  }

  public func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int {
    guard !rows.isEmpty else { return 0 }
    let documents = rows.map(Self.document)
    let reply = try await database.withConnection { connection in
      if let deadline, .now >= deadline { throw LeaseLost() }
      return try connection.insertUnordered(documents, into: collection)
    }
    if let failure = reply.failure { throw failure }
    if let concern = reply.writeConcernError { throw concern }
    if let error = reply.writeErrors.first(where: { !$0.isDuplicateKey }) {
      throw MongoError(
        domain: .server, code: error.code, operation: "insert rows into \(collection)",
        message: error.message)
    }
    let met = reply.writeErrors.map { rows[$0.index] }
    if !met.isEmpty {
      _ = try await replace(met, in: collection, upsert: false, before: deadline)
    }
    return documents.reduce(0) { $0 + $1.bytes.count }
  }

  public func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow] {
    try await database.withConnection { connection in
      try connection.find(
        query.filter, in: collection, options: query.options, decode: Self.row)
    }
  }

  public func count(_ query: ReadModelQuery, in collection: String) async throws -> Int {
    let pipeline = BSONDocument { writer in
      writer.appendArray("pipeline") { array in
        array.append(BSONDocument { $0.append("$match", query.filter) })
        array.append(BSONDocument { $0.append("$limit", Int64(query.limit)) })
        array.append(BSONDocument { $0.append("$count", "count") })
      }
    }
    let counts = try await database.withConnection { connection in
      try connection.aggregate(pipeline, in: collection) { $0["count"]?.integer ?? 0 }
    }
    return Int(counts.first ?? 0)
  }

  public func rows(
    of collection: String, after id: String?, limit: Int
  ) async throws -> [StoredRow] {
    try await database.withConnection {
      try $0.find(
        Self.after(id), in: collection, options: Self.inOrder(limit: limit), decode: Self.row)
    }
  }

  static func after(_ id: String?) -> BSONDocument {
    BSONDocument { writer in
      if let id { writer.appendDocument("_id") { $0.append("$gt", id) } }
    }
  }

  static func inOrder(limit: Int) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("sort") { $0.append("_id", int32: 1) }
      writer.append("limit", Int64(limit))
      writer.append("batchSize", int32: Int32(min(limit, 10_000)))
    }
  }

  static func row(_ view: BSONView) throws -> StoredRow {
    var fields = try view.fields()
    guard let id = fields["_id"]?.stringValue, let position = fields["position"]?.integerValue
    else { throw UnreadableDocument(reason: "a row lacks its id or position") }
    fields["_id"] = nil
    fields["position"] = nil
    return StoredRow(id: id, position: Position(position), fields: fields)
  }

  public func checkpoint(of subscription: String) async throws -> Position {
    let found = try await database.withConnection { connection in
      try connection.find(
        BSONDocument { $0.append("_id", subscription) }, in: Self.checkpointCollection
      ) { Position($0["position"]?.integer ?? 0) }
    }
    return found.first ?? .start
  }

  public func saveCheckpoint(_ position: Position, of subscription: String) async throws {
    let reply = try await database.withConnection { connection in
      try connection.write(
        [
          .update(
            filter: BSONDocument { $0.append("_id", subscription) },
            with: BSONDocument { $0.appendDocument("$max") { $0.append("position", position) } },
            upsert: true)
        ], to: Self.checkpointCollection)
    }
    try reply.check(operation: "save checkpoint")
  }
}

extension ReadModelQuery {
  fileprivate var order: Int32 { isDescending ? -1 : 1 }

  /// Values are bound as BSON, never spliced into text: no operator can come in with them.
  fileprivate var filter: BSONDocument {
    BSONDocument { writer in
      for entry in equals.entries {
        writer.appendDocument(entry.key) { $0.append("$eq", value: entry.value) }
      }
      if let range, range.atLeast != nil || range.atMost != nil {
        writer.appendDocument(range.field) { writer in
          if let least = range.atLeast { writer.append("$gte", value: least) }
          if let most = range.atMost { writer.append("$lte", value: most) }
        }
      }
      if let cursor { append(cursor, to: &writer) }
    }
  }

  private func append(_ cursor: PageCursor, to writer: inout BSONWriter) {
    let beyond = isDescending ? "$lt" : "$gt"
    guard let sortField else {
      writer.appendDocument("_id") { $0.append(beyond, cursor.id) }
      return
    }
    writer.appendArray("$or") { array in
      array.append(
        BSONDocument { writer in
          writer.appendDocument(sortField) { $0.append(beyond, value: cursor.sortValue) }
        })
      array.append(
        BSONDocument { writer in
          writer.appendDocument(sortField) { $0.append("$eq", value: cursor.sortValue) }
          writer.appendDocument("_id") { $0.append(beyond, cursor.id) }
        })
    }
  }

  fileprivate var options: BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("sort") { writer in
        if let sortField { writer.append(sortField, int32: order) }
        writer.append("_id", int32: order)
      }
      writer.append("limit", Int64(limit))
    }
  }
}
