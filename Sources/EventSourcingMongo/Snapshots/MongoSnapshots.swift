import EventSourcing
import Mongo

/// Snapshots in MongoDB, in the collection `snapshots`: `{_id: "category/id", version, position,
/// schema, event_id, …, state}`.
public final class MongoSnapshots: SnapshotStore {
  private static let collection = "snapshots"
  /// MongoDB takes documents of 16 MiB at most.
  private static let bytesMax = 15 << 20

  private let database: MongoDatabase

  public init(_ database: MongoDatabase) { self.database = database }

  public func snapshot(of stream: StreamName) async throws -> Snapshot? {
    let found = try await database.withConnection { connection in
      try connection.find(Self.named(stream), in: Self.collection) { Self.snapshot(of: stream, $0) }
    }
    guard let stored = found.first else { return nil }
    // Of a shape that is not ours: its version must not keep good ones out.
    if stored == nil { try await delete(Self.named(stream)) }
    return stored
  }

  public func save(_ snapshot: Snapshot) async throws -> Bool {
    let document = Self.document(of: snapshot)
    guard document.bytes.count <= Self.bytesMax else {
      throw SnapshotTooLarge(bytes: document.bytes.count)
    }
    // A duplicate key: one that is as good is there, or another process was first with one that is
    // not, and then the second try replaces that.
    for isFirst in [true, false] {
      let write = MongoConnection.Write.replace(
        filter: Self.lesser(than: snapshot.header), with: document, upsert: isFirst)
      let reply = try await database.withConnection { try $0.write([write], to: Self.collection) }
      if reply.writeErrors.first?.isDuplicateKey == true { continue }
      try reply.check(operation: "save a snapshot")
      return reply.matchedCount + reply.upsertedCount > 0
    }
    return false
  }

  public func discard(_ header: Snapshot.Header) async throws {
    let filter = BSONDocument { writer in
      writer.append("_id", header.stream.description)
      writer.append("version", header.version.rawValue)
      writer.append("schema", Int64(header.schema))
      writer.append("event_id", uuid: header.eventID)
    }
    try await delete(filter)
  }

  public func headers(
    after stream: StreamName?, limit: Int
  ) async throws -> [Snapshot.Header] {
    let filter = BSONDocument { writer in
      if let stream { writer.appendDocument("_id") { $0.append("$gt", stream.description) } }
    }
    let options = BSONDocument { writer in
      writer.appendDocument("sort") { $0.append("_id", int32: 1) }
      writer.appendDocument("projection") { $0.append("state", int32: 0) }
      writer.append("limit", Int64(limit))
    }
    return try await database.withConnection { connection in
      try connection.find(filter, in: Self.collection, options: options) { view in
        view["_id"]?.string.flatMap { StreamName($0) }.flatMap { Self.header(of: $0, view) }
      }
    }.compactMap(\.self)
  }

  public func removeAll() async throws {
    do {
      _ = try await database.withConnection {
        try $0.writeCommand(
          BSONDocument { $0.append("drop", Self.collection) }, operation: "drop the snapshots")
      }
    } catch let error as MongoError where error.code == 26 {
      // NamespaceNotFound: there were none.
    }
  }

  private func delete(_ filter: BSONDocument) async throws {
    let reply = try await database.withConnection {
      try $0.write([.delete(filter: filter)], to: Self.collection)
    }
    try reply.check(operation: "remove a snapshot")
  }
}

// MARK: Documents

extension MongoSnapshots {
  private static func named(_ stream: StreamName) -> BSONDocument {
    BSONDocument { $0.append("_id", stream.description) }
  }

  /// The snapshot that may be replaced: an earlier one, one of another schema.
  private static func lesser(than header: Snapshot.Header) -> BSONDocument {
    BSONDocument { writer in
      writer.append("_id", header.stream.description)
      writer.appendArray("$or") { array in
        array.append(
          BSONDocument { writer in
            writer.appendDocument("version") { writer in
              writer.appendDocument("$not") { $0.append("$gte", header.version.rawValue) }
            }
          })
        array.append(
          BSONDocument { writer in
            writer.appendDocument("schema") { $0.append("$ne", Int64(header.schema)) }
          })
      }
    }
  }

  private static func document(of snapshot: Snapshot) -> BSONDocument {
    let header = snapshot.header
    return BSONDocument(capacity: 1024) { writer in
      writer.append("_id", header.stream.description)
      writer.append("version", header.version.rawValue)
      writer.append("position", header.position)
      writer.append("event_id", uuid: header.eventID)
      writer.append("timestamp", time: header.timestamp)
      writer.append("latest_timestamp", time: header.latestTimestamp)
      writer.append("schema", Int64(header.schema))
      writer.append("taken_at", time: header.takenAt)
      writer.appendDocument("state") { $0.append(snapshot.state) }
    }
  }

  /// Nil for a document of another shape.
  private static func snapshot(of stream: StreamName, _ view: BSONView) -> Snapshot? {
    guard let header = header(of: stream, view), let state = try? view["state"]?.document?.fields()
    else { return nil }
    return Snapshot(header: header, state: state)
  }

  private static func header(of stream: StreamName, _ view: BSONView) -> Snapshot.Header? {
    guard let version = view["version"]?.integer, let position = view["position"]?.integer,
      let eventID = view["event_id"]?.uuid, let timestamp = view["timestamp"]?.time,
      let latest = view["latest_timestamp"]?.time, let schema = view["schema"]?.integer,
      let taken = view["taken_at"]?.time, (1...Position.max.rawValue).contains(version),
      (1...Position.max.rawValue).contains(position)
    else { return nil }
    return Snapshot.Header(
      stream: stream, version: Version(version), position: Position(position), eventID: eventID,
      timestamp: timestamp, latestTimestamp: latest, schema: Int(schema), takenAt: taken)
  }
}

extension BSONWriter {
  fileprivate mutating func append(_ key: String, time: Timestamp) {
    append(key, millisecondsSinceEpoch: time.millisecondsSinceEpoch)
  }
}

extension BSONView.Element {
  fileprivate var time: Timestamp? {
    guard case .dateTime(let milliseconds) = self else { return nil }
    return Timestamp(millisecondsSinceEpoch: milliseconds)
  }
}
