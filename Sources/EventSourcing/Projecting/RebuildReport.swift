/// How a rebuild is done.
public struct RebuildSettings: Sendable {
  /// Readers of the log at a time.
  public var readersMax: Int
  /// About how much memory the rows may take, in bytes; what is more is written and read back.
  public var memoryBytesMax: Int
  /// How often a rebuild makes sure of what it has, so that a killed one goes on from there.
  public var checkpointPause: Duration
  /// How long readers that hold the old pointer may go on reading the old rows.
  public var grace: Duration
  /// Leave the old rows in place when the new ones differ from them.
  public var expectsSame: Bool

  public init(
    readersMax: Int = 2, memoryBytesMax: Int = 96 << 20, checkpointPause: Duration = .seconds(10),
    grace: Duration = .seconds(5), expectsSame: Bool = false
  ) {
    self.readersMax = readersMax
    self.memoryBytesMax = memoryBytesMax
    self.checkpointPause = checkpointPause
    self.grace = grace
    self.expectsSame = expectsSame
  }
}

/// How far a rebuild has come.
public struct RebuildProgress: Sendable {
  public enum Phase: String, Sendable {
    case folding, indexing, comparing, switching
  }

  public var projection: String
  public var phase: Phase
  /// Everything up to here is folded.
  public var position: Position
  public var head: Position
  /// Where this run began: a rebuild that was killed goes on.
  public var start: Position
  public var elapsed: Duration

  public init(
    projection: String, phase: Phase, position: Position, head: Position, start: Position,
    elapsed: Duration
  ) {
    self.projection = projection
    self.phase = phase
    self.position = position
    self.head = head
    self.start = start
    self.elapsed = elapsed
  }

  /// Of the log, 0 … 100.
  public var percent: Double {
    head == .start ? 100 : min(100, 100 * Double(position.rawValue) / Double(head.rawValue))
  }
  public var eventsPerSecond: Double {
    let seconds = elapsed / .seconds(1)
    return seconds > 0 ? Double(position.rawValue - start.rawValue) / seconds : 0
  }
  public var secondsLeft: Double {
    let rate = eventsPerSecond
    return rate > 0 ? Double(max(0, head.rawValue - position.rawValue)) / rate : 0
  }
}

/// What a rebuild has done.
public struct RebuildResult: Sendable {
  public var projection: String
  /// Of the new rows.
  public var generation: Int
  /// Of the log, all of them.
  public var events: Int64
  public var rows: Int
  /// Rows that were not the same in the old and the new collection at one position: at most
  /// ``RowComparison/idsMax`` of them, by id.
  public var differences: [RowDifference]
  public var differenceCount: Int
  /// Whether the new rows were compared with old ones at the same position. There are none before the
  /// first rebuild of a read model that nobody has driven.
  public var wasCompared: Bool
  /// Whether the new rows serve now.
  public var hasSwitched: Bool
  /// From the start to the switch: indexes and comparison included, the time that old readers are
  /// left not.
  public var duration: Duration
}

/// A row that the old and the new collection do not agree on.
public struct RowDifference: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    /// These fields differ.
    case fields([String])
    case onlyOld
    case onlyNew
  }

  public var id: String
  public var kind: Kind

  public init(id: String, kind: Kind) {
    self.id = id
    self.kind = kind
  }

  /// Nil when both are the same.
  init?(_ old: StoredRow?, _ new: StoredRow?) {
    switch (old, new) {
    case (nil, nil): return nil
    case (let old?, nil): self.init(id: old.id, kind: .onlyOld)
    case (nil, let new?): self.init(id: new.id, kind: .onlyNew)
    case (let old?, let new?):
      guard old.position != new.position || old.fields.entries != new.fields.entries else {
        return nil
      }
      var keys = old.fields.keys + new.fields.keys.filter { old.fields[$0] == nil }
      keys.removeAll { old.fields[$0] == new.fields[$0] }
      if old.position != new.position { keys.append("position") }
      // The same values in another order.
      self.init(id: old.id, kind: .fields(keys.isEmpty ? ["order of keys"] : keys))
    }
  }

  /// `order_1: status, total_amount`.
  public var description: String {
    switch kind {
    case .fields(let names): "\(id): \(names.joined(separator: ", "))"
    case .onlyOld: "\(id): only in the old rows"
    case .onlyNew: "\(id): only in the new rows"
    }
  }
}

/// Why a rebuild ended without new rows. The old ones go on serving.
public enum RebuildFailure: Error, Sendable, Hashable, CustomStringConvertible {
  case running(String, owner: String)
  case overtaken(String)
  case notHandedOver(String)
  /// The old rows were to be the same, and did not come to where the new ones stand.
  case notComparable(String)

  public var description: String {
    switch self {
    case .running(let projection, let owner): "\(projection) is being rebuilt by \(owner)"
    case .notHandedOver(let projection):
      "the driver of \(projection) did not hand it over; its old rows go on serving"
    case .notComparable(let projection):
      "the old rows of \(projection) are too far behind to compare the new ones with; they go on "
        + "serving"
    case .overtaken(let projection):
      "another rebuild of \(projection) has taken over; its rows serve, or are going to"
    }
  }
}
