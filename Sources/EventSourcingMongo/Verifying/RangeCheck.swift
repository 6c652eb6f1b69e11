import EventSourcing
import Mongo

/// The check of the commits that begin in a range of positions. Positions are dense, so ranges are
/// known beforehand, and each is checked alone: it begins at the hash that is stored before it.
struct RangeCheck: Sendable {
  /// Commits that begin after `start`, up to `end`.
  let start: Position
  let end: Position

  struct Result: Sendable {
    var commits: Int64
    var traces: [Trace]
    /// The last commit's position and hash, nil when the range holds none.
    var last: Anchor?
    /// The first fault in the range; what comes after it was not looked at.
    var fault: LogFault?
  }

  /// A commit that was checked, to be recognised later.
  struct Anchor: Sendable, Hashable {
    /// Of its last event.
    var position: Position
    var hash: ChainHash
  }

  func run(on connection: isolated MongoConnection) throws -> Result {
    var chain = ChainCheck(
      after: try start > .start ? connection.storedCommit(atOrBefore: start) : nil)
    var fault: LogFault?
    do {
      _ = try connection.find(
        LogCollection.positions(after: start, upTo: end), in: LogCollection.name,
        options: Self.scanOptions
      ) { try chain.add($0) }
      if let next = chain.next, next <= end {
        fault = ChainCheck.hole(at: next, before: try connection.firstPosition(from: next))
      }
    } catch let found as LogFault {
      fault = found
    }
    var last: Anchor?
    if chain.commits > 0, let next = chain.next, let hash = chain.hash {
      last = Anchor(position: Position(next.rawValue - 1), hash: hash)
    }
    return Result(commits: chain.commits, traces: chain.takeTraces(), last: last, fault: fault)
  }

  /// A batch of a few megabytes: the server prepares the next one while this one is checked by
  /// another connection.
  private static let scanOptions = BSONDocument { writer in
    writer.appendDocument("sort") { $0.append("_id", int32: 1) }
    writer.append("batchSize", int32: 4000)
  }
}

extension LogCollection {
  /// Commits that begin after `start`, up to `end`; everything with a lower number as well when
  /// `start` is the start of the log.
  static func positions(after start: Position, upTo end: Position) -> BSONDocument {
    BSONDocument { writer in
      writer.appendDocument("_id") { writer in
        if start > .start { writer.append("$gt", start) }
        writer.append("$lte", end)
      }
    }
  }

  static func from(_ position: Position) -> BSONDocument {
    BSONDocument { $0.appendDocument("_id") { $0.append("$gte", position) } }
  }
}

extension MongoConnection {
  /// The commit that holds a position, or the last one before it, as it is stored.
  func storedCommit(atOrBefore position: Position) throws -> BSONDocument? {
    try find(
      LogCollection.atOrBefore(position), in: LogCollection.name,
      options: LogCollection.options(sort: -1, limit: 1)
    ) { $0.copied }.first
  }

  /// The first document of the log in the server's order of all values, or the last: whatever its
  /// `_id` is.
  func outermostDocument(isLast: Bool) throws -> BSONDocument? {
    try find(
      BSONDocument(), in: LogCollection.name,
      options: LogCollection.options(sort: isLast ? -1 : 1, limit: 1)
    ) { $0.copied }.first
  }

  func firstPosition(from position: Position) throws -> Position? {
    try find(
      LogCollection.from(position), in: LogCollection.name,
      options: LogCollection.options(sort: 1, limit: 1)
    ) { $0["_id"]?.integer.map { Position($0) } }.first ?? nil
  }
}
