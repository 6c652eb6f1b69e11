import EventSourcing

/// A read model for tests of the machinery: counts the events of each stream of `things`, and all of
/// them, with a digest that shows when one is missing, doubled or out of order.
public struct TallyProjection: Projection {
  public static let category = "things"
  /// Its events cannot be applied.
  public static let poisonType = "ThingBroken"

  public let name: String
  public let version: Int
  /// Apply what is poison to others.
  private let takesPoison: Bool

  public init(name: String = "tallies", version: Int = 1, takesPoison: Bool = false) {
    self.name = name
    self.version = version
    self.takesPoison = takesPoison
  }

  public var consumes: EventSelection { EventSelection([Self.category: nil]) }
  public var indexes: [ReadModelIndex] {
    [ReadModelIndex(.init("count", isDescending: true))]
  }

  public func rows(touchedBy event: Recorded) throws -> [String] { [event.stream.id, "total"] }

  public func begins(_ id: String, with event: Recorded) -> Bool {
    id != "total" && event.version == Version(1)
  }

  public func apply(_ event: Recorded, to row: inout TallyRow?, id: String) throws {
    var changed = row ?? TallyRow()
    changed.count += 1
    changed.digest = changed.digest &* 31 &+ event.position.rawValue
    row = changed
    // After the change, and only for the second row: what became of both must count for nothing.
    if event.type == Self.poisonType, id == "total", !takesPoison {
      throw FieldError("thing", .invalid("is broken"))
    }
  }
}

public struct TallyRow: ReadModelRow {
  public var count: Int64 = 0
  public var digest: Int64 = 0

  public init() {}

  public init(fields: Fields) throws {
    count = try fields.integer("count")
    digest = try fields.integer("digest")
  }

  public var fields: Fields {
    ["count": .integer(count), "digest": .integer(digest), "text": .string("row \(count)")]
  }
}

extension TallyProjection {
  /// Appends `commits` commits of one to three events of a few streams.
  public static func fill(
    _ log: any EventLog, commits: Int, streams: Int = 7, poisonAt poison: Int? = nil
  ) async throws {
    for number in 0..<commits {
      let events = (0...(number % 3)).map { place in
        ProposedEvent(
          stream: StreamName(category: category, id: "thing_\((number + place) % streams)"),
          type: number == poison ? poisonType : "ThingMoved",
          data: ["number": .integer(Int64(number))])
      }
      try await log.append(
        ProposedCommit(
          context: CommitContext(
            commandID: .random(), timestamp: .now, serviceName: "tests"),
          events: events))
    }
  }

  /// The rows that there must be: a plain fold of the log, without any of the machinery.
  public func expected(
    from log: any EventLog, upTo end: Position = .max, without skipped: Set<Position> = []
  ) async throws -> [String: StoredRow] {
    var rows: [String: (row: TallyRow, position: Position)] = [:]
    var position = Position.start
    while true {
      let commits = try await log.read(after: position, limit: 1000)
      guard let last = commits.last else { break }
      for event in commits.flatMap(\.events)
      where consumes.takes(event) && event.position <= end && !skipped.contains(event.position) {
        for id in [event.stream.id, "total"] {
          var row = rows[id]?.row ?? TallyRow()
          row.count += 1
          row.digest = row.digest &* 31 &+ event.position.rawValue
          rows[id] = (row, event.position)
        }
      }
      position = last.header.lastPosition
    }
    var stored: [String: StoredRow] = [:]
    for (id, row) in rows {
      stored[id] = StoredRow(id: id, position: row.position, fields: row.row.fields)
    }
    return stored
  }
}
