import EventSourcing

/// What operators ask of the read models. The composition root implements it, since it knows the
/// projections, their drivers and their store.
public protocol ProjectionAdministration: Sendable {
  /// All projections, in the order of their names.
  func list() async throws -> [ProjectionReport]

  /// Starts rebuilding a projection from position 1 beside the serving rows, and returns.
  /// - Parameter expectsSame: leave the old rows in place when the new ones differ from them.
  /// - Throws: ``ProjectionAdministrationError``.
  func startRebuild(of name: String, expectsSame: Bool) async throws -> RebuildReport

  /// The rebuild of a projection that runs, or the last one that ran in this process; nil when
  /// none did.
  /// - Throws: ``ProjectionAdministrationError/unknownProjection(_:)``.
  func rebuild(of name: String) async throws -> RebuildReport?

  /// Leaves out the event that a projection has stopped at, see ``ProjectionOperations``.
  /// - Returns: the position of the record of it.
  func skip(_ name: String, at position: Position, _ act: OperatorAct) async throws -> Position

  /// Has a projection try again at the event that it has stopped at.
  /// - Returns: the position of the record of it.
  func resume(_ name: String, _ act: OperatorAct) async throws -> Position
}

/// Who does something to a projection, and why.
public struct OperatorAct: Sendable {
  public var reason: String
  public var by: String
  public var context: CommitContext

  public init(reason: String, by: String, context: CommitContext) {
    self.reason = reason
    self.by = by
    self.context = context
  }
}

public enum ProjectionAdministrationError: Error, Sendable, Hashable {
  case unknownProjection(String)
  case rebuildRunning(String)
}

/// Where a projection stands.
public struct ProjectionReport: Sendable {
  public var name: String
  /// Counts rebuilds, from 1.
  public var generation: Int
  /// The rows that serve: `orders__v1`.
  public var collection: String
  /// Everything up to here is in the rows.
  public var position: Position
  /// The last position of the log when the report was made.
  public var head: Position
  /// Why it does not move, if it does not.
  public var failure: String?
  /// The event that it has stopped at.
  public var parked: ParkedEvent?
  /// The events that operators have had it leave out.
  public var skipped: [ProjectionOperations.Skipped]
  /// The process that drives it, or was the last to.
  public var holder: LeaseHolder?
  public var rebuild: RebuildReport?

  public init(
    name: String, generation: Int, collection: String, position: Position, head: Position,
    failure: String? = nil, parked: ParkedEvent? = nil,
    skipped: [ProjectionOperations.Skipped] = [], holder: LeaseHolder? = nil,
    rebuild: RebuildReport? = nil
  ) {
    self.name = name
    self.generation = generation
    self.collection = collection
    self.position = position
    self.head = head
    self.failure = failure
    self.parked = parked
    self.skipped = skipped
    self.holder = holder
    self.rebuild = rebuild
  }
}

/// How far a rebuild has come.
public struct RebuildReport: Sendable {
  public enum State: String, Sendable {
    case running, completed, failed
    /// The new rows were not the same, and that was expected of them: the old ones serve.
    case different
  }

  public var projection: String
  public var state: State
  public var phase: RebuildProgress.Phase = .folding
  public var position: Position
  public var head: Position
  /// 0 … 100.
  public var percent: Int
  public var eventsPerSecond: Int64
  public var secondsLeft: Int64
  public var startedAt: Timestamp
  public var finishedAt: Timestamp?
  /// Rows of the new model; known at the end.
  public var rows: Int?
  /// Whether all rows were compared with the old ones at one position; known at the end.
  public var wasCompared: Bool?
  /// Rows that differ from the old model's at the same position; known at the end.
  public var differenceCount: Int?
  /// The first of them, by id and fields.
  public var differences: [String]
  public var failure: String?

  public init(
    projection: String, state: State, position: Position, head: Position, percent: Int,
    eventsPerSecond: Int64, secondsLeft: Int64, startedAt: Timestamp,
    finishedAt: Timestamp? = nil, rows: Int? = nil, differences: [String] = [],
    failure: String? = nil
  ) {
    self.projection = projection
    self.state = state
    self.position = position
    self.head = head
    self.percent = percent
    self.eventsPerSecond = eventsPerSecond
    self.secondsLeft = secondsLeft
    self.startedAt = startedAt
    self.finishedAt = finishedAt
    self.rows = rows
    self.differences = differences
    self.failure = failure
  }
}

extension ProjectionReport {
  var value: Value {
    [
      "name": .string(name), "generation": .integer(Int64(generation)),
      "collection": .string(collection), "position": .integer(position.rawValue),
      "head": .integer(head.rawValue),
      "lag": .integer(max(0, head.rawValue - position.rawValue)),
      "state": .string(failure == nil ? "running" : "stopped"), "failure": .optional(failure),
      "parked": parked?.value ?? .null, "skipped": .array(skipped.map(\.value)),
      "driver": holder.map { .string($0.owner) } ?? .null,
      "is_driven": .bool(holder.map { !$0.isExpired } ?? false),
      "rebuild": rebuild?.value ?? .null,
    ]
  }
}

extension RebuildReport {
  var value: Value {
    [
      "projection": .string(projection), "state": .string(state.rawValue),
      "phase": .string(phase.rawValue),
      "position": .integer(position.rawValue), "head": .integer(head.rawValue),
      "percent": .integer(Int64(percent)), "events_per_second": .integer(eventsPerSecond),
      "seconds_left": .integer(secondsLeft), "started_at": .string(startedAt.iso8601),
      "finished_at": .optional(finishedAt?.iso8601),
      "rows": .optional(rows.map(Int64.init)),
      "compared": wasCompared.map(Value.bool) ?? .null,
      "difference_count": .optional(differenceCount.map(Int64.init)),
      "differences": .array(differences.map(Value.string)), "failure": .optional(failure),
    ]
  }
}

extension ParkedEvent {
  fileprivate var value: Value {
    [
      "position": .integer(position.rawValue), "event_id": .string(eventID),
      "event_type": .string(type), "aggregate_type": .string(stream.category),
      "aggregate_id": .string(stream.id), "reason": .string(reason),
      "since": .string(since.iso8601),
    ]
  }
}

extension ProjectionOperations.Skipped {
  fileprivate var value: Value {
    [
      "position": .integer(position.rawValue), "reason": .string(reason), "by": .string(by),
      "at": .string(at.iso8601),
    ]
  }
}
