import EventSourcing

/// Where a log ended once: kept elsewhere, it shows later that nothing up to there was cut off or
/// written anew.
public struct ExportedHead: Sendable, Hashable {
  /// Of the last event; 0 for an empty log.
  public var position: Position
  /// The last commit's hash, in hexadecimal.
  public var hash: String
  public var commits: Int64
  public var time: Timestamp

  public init(position: Position, hash: String, commits: Int64, time: Timestamp) {
    self.position = position
    self.hash = hash
    self.commits = commits
    self.time = time
  }

  public var value: Value {
    [
      "position": .integer(position.rawValue), "hash": .string(hash), "commits": .integer(commits),
      "time": .string(time.iso8601),
    ]
  }

  /// - Throws: `FieldError` when it is not what ``value`` gives.
  public init(_ value: Value) throws {
    guard case .object(let fields) = value else {
      throw FieldError("head", .wrongType(expected: "an object", found: value.kind))
    }
    hash = try fields.string("hash")
    guard Hexadecimal.bytes(hash)?.count == 32 else {
      throw FieldError("hash", .invalid("is no SHA-256 in hexadecimal"))
    }
    position = Position(try fields.integer("position"))
    guard position >= .start else { throw FieldError("position", .invalid("is negative")) }
    commits = try fields.integer("commits")
    guard let time = Timestamp(iso8601: try fields.string("time")) else {
      throw FieldError("time", .invalid("is no time"))
    }
    self.time = time
  }
}
