import EventSourcing
import Foundation
import Mongo

/// The log's collection: its name, its indexes, its queries.
enum LogCollection {
  static let name = "log"

  /// Four guarantees from unique keys: `_id` the total order, `stream` one event a version,
  /// `command` one effect a command id. Versions descend, so that a stream's head is the first key.
  static var createIndexes: BSONDocument {
    BSONDocument { writer in
      writer.append("createIndexes", name)
      writer.appendArray("indexes") { indexes in
        indexes.append(
          index(
            "stream",
            [("events.aggregate_type", 1), ("events.aggregate_id", 1), ("events.version", -1)],
            isUnique: true))
        indexes.append(index("command", [("command_id", 1)], isUnique: true))
        indexes.append(index("type", [("events.event_type", 1), ("_id", 1)]))
        indexes.append(index("correlation", [("correlation_id", 1), ("_id", 1)]))
      }
    }
  }

  private static func index(
    _ name: String, _ keys: [(String, Int32)], isUnique: Bool = false
  ) -> BSONDocument {
    BSONDocument { writer in
      writer.append("name", name)
      writer.appendDocument("key") { for (key, order) in keys { $0.append(key, int32: order) } }
      if isUnique { writer.append("unique", true) }
    }
  }

  static func after(_ position: Position) -> BSONDocument {
    BSONDocument { $0.appendDocument("_id") { $0.append("$gt", position) } }
  }

  static func beginning(in positions: Range<Position>) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("_id") { writer in
        writer.append("$gte", positions.lowerBound)
        writer.append("$lt", positions.upperBound)
      }
    }
  }

  static func atOrBefore(_ position: Position) -> BSONDocument {
    BSONDocument { $0.appendDocument("_id") { $0.append("$lte", position) } }
  }

  static func beginning(at positions: Set<Position>) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("_id") {
        $0.appendArray("$in") { array in
          for position in positions { array.append { $0.append($1, position) } }
        }
      }
    }
  }

  static func ofCommand(_ id: CommandID) -> BSONDocument {
    BSONDocument { $0.append("command_id", uuid: id.uuid) }
  }

  static func ofCommands(_ ids: [CommandID]) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("command_id") {
        $0.appendArray("$in") { array in
          for id in ids { array.append { $0.append($1, uuid: id.uuid) } }
        }
      }
    }
  }

  /// Commits with events of a stream, of versions `range` or of all.
  static func ofStream(_ stream: StreamName, versions: ClosedRange<Int64>? = nil) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("events") { writer in
        writer.appendDocument("$elemMatch") { writer in
          writer.append("aggregate_type", stream.category)
          writer.append("aggregate_id", stream.id)
          if let versions {
            writer.appendDocument("version") { writer in
              writer.append("$gte", versions.lowerBound)
              writer.append("$lte", versions.upperBound)
            }
          }
        }
      }
    }
  }

  /// Options of a `find`. `sort` is by `_id`; `hint` names an index.
  static func options(
    sort: Int32? = nil, limit: Int? = nil, hint: String? = nil, linearizable: Bool = false
  ) -> BSONDocument {
    BSONDocument { writer in
      if let sort { writer.appendDocument("sort") { $0.append("_id", int32: sort) } }
      if let limit {
        writer.append("limit", Int64(limit))
        writer.append("batchSize", int32: Int32(min(limit, 10_000)))
      }
      if let hint { writer.append("hint", hint) }
      if linearizable {
        writer.appendDocument("readConcern") { $0.append("level", "linearizable") }
        writer.append("maxTimeMS", Int64(3000))
      }
    }
  }
}

extension MongoConnection {
  /// The head of a stream, by the first key of the `stream` index.
  func version(of stream: StreamName) throws -> Version {
    let newest = try find(
      LogCollection.ofStream(stream), in: LogCollection.name,
      options: LogCollection.options(limit: 1, hint: "stream"), decode: CommitOutline.decode)
    return newest.first?.versions.last { $0.stream == stream }?.version ?? .none
  }

  func commit(of command: CommandID) throws -> RecordedCommit? {
    try find(
      LogCollection.ofCommand(command), in: LogCollection.name,
      options: LogCollection.options(limit: 1),
      decode: CommitDocument.decode
    ).first
  }

  /// The commits of those commands that are done.
  func commits(of commands: [CommandID], linearizable: Bool) throws -> [RecordedCommit] {
    guard !commands.isEmpty else { return [] }
    return try find(
      LogCollection.ofCommands(commands), in: LogCollection.name,
      options: LogCollection.options(linearizable: linearizable), decode: CommitDocument.decode)
  }

  /// The commits that hold any of these positions, in the order of the log. One question finds those
  /// that begin at one of them, which is the usual case; each of the others takes one more.
  func commits(holding positions: Set<Position>) throws -> [RecordedCommit] {
    var found = try find(
      LogCollection.beginning(at: positions), in: LogCollection.name,
      options: LogCollection.options(sort: 1), decode: CommitDocument.decode)
    var missing = positions
    for commit in found { missing.subtract(commit.events.map(\.position)) }
    for position in missing.sorted(by: >) where missing.contains(position) {
      let around = try find(
        LogCollection.atOrBefore(position), in: LogCollection.name,
        options: LogCollection.options(sort: -1, limit: 1), decode: CommitDocument.decode)
      guard let commit = around.first, commit.header.lastPosition >= position else { continue }
      missing.subtract(commit.events.map(\.position))
      found.append(commit)
    }
    return found.sorted { $0.header.firstPosition < $1.header.firstPosition }
  }

  func lastCommit(linearizable: Bool = false) throws -> CommitOutline? {
    try find(
      BSONDocument(), in: LogCollection.name,
      options: LogCollection.options(sort: -1, limit: 1, linearizable: linearizable),
      decode: CommitOutline.decode
    ).first
  }

  func outlines(after position: Position, limit: Int) throws -> [CommitOutline] {
    try find(
      LogCollection.after(position), in: LogCollection.name,
      options: LogCollection.options(sort: 1, limit: limit), decode: CommitOutline.decode)
  }
}
