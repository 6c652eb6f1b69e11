/// Rebuilds a read model from position 1 beside the serving one, compares the two, and flips.
///
/// The old rows serve until the flip; a crash before it leaves them serving and the half-built
/// ones to be dropped by the next rebuild. Positions never go back: the flip happens only at or
/// beyond the position that the old rows have reached.
public struct ProjectionRebuild<P: Projection>: Sendable {
  public struct Report: Sendable {
    public var projection: String
    public var generation: Int
    public var events: Int64
    public var rows: Int
    /// Rows that differ between old and new though both stand at the same position.
    public var differences: [String]
    public var duration: Duration
  }

  public struct Progress: Sendable {
    public var projection: String
    public var position: Position
    public var head: Position
    public var elapsed: Duration
    /// 0 … 100.
    public var percent: Double {
      head == .start ? 100 : min(100, 100 * Double(position.rawValue) / Double(head.rawValue))
    }
    public var eventsPerSecond: Double {
      let seconds = elapsed / .seconds(1)
      return seconds > 0 ? Double(position.rawValue) / seconds : 0
    }
    public var secondsLeft: Double {
      let rate = eventsPerSecond
      return rate > 0 ? Double(head.rawValue - position.rawValue) / rate : 0
    }
  }

  /// How long readers that hold the old pointer may go on reading the old rows.
  private static var grace: Duration { .seconds(5) }

  private let projection: P
  private let log: any EventLog
  private let store: any ReadModelStore

  public init(_ projection: P, log: any EventLog, store: any ReadModelStore) {
    self.projection = projection
    self.log = log
    self.store = store
  }

  public func run(report: @Sendable (Progress) -> Void = { _ in }) async throws -> Report {
    let started = ContinuousClock.now
    let serving = try await ProjectionDriver.start(projection, store: store)
    var built = ProjectionProgress(
      projection: projection.name, generation: serving.generation + 1, position: .start)
    try await store.drop(built.collection)
    try await store.prepare(built.collection, indexes: projection.indexes)
    var head = try await log.head()
    var comparison: (rows: Int, differences: [String])?
    while true {
      try Task.checkCancellation()
      if let moved = try await ProjectionDriver.step(
        projection, from: built, log: log, store: store, limit: 2000)
      {
        built = moved
        if built.position > head { head = built.position }
        report(
          Progress(
            projection: projection.name, position: built.position, head: head,
            elapsed: .now - started))
        continue
      }
      // Once: under steady writes the live rows move on while rows are compared.
      guard let compared = comparison else {
        comparison = try await compare(serving.collection, built.collection)
        continue
      }
      let (rows, differences) = compared
      if try await store.save(built, replacing: serving.generation) {
        try await Task.sleep(for: Self.grace)
        try await store.drop(serving.collection)
        return Report(
          projection: projection.name, generation: built.generation,
          events: built.position.rawValue, rows: rows, differences: differences,
          duration: .now - started - Self.grace)
      }
      guard let stored = try await store.progress(of: projection.name),
        stored.generation == serving.generation
      else { throw RebuildOvertaken(projection: projection.name) }
    }
  }

  /// Rows of the same position must be the same; rows of another position are compared by nobody:
  /// one side has seen later events.
  private func compare(
    _ old: String, _ new: String
  ) async throws -> (rows: Int, differences: [String]) {
    var differences: [String] = []
    var count = 0
    var after: String?
    while true {
      let rows = try await store.rows(of: new, after: after, limit: 1000)
      guard let last = rows.last else { return (count, differences) }
      let others = try await store.load(rows.map(\.id), from: old)
      for row in rows {
        guard let other = others[row.id] else { continue }
        if other.position == row.position, other != row { differences.append(row.id) }
      }
      count += rows.count
      after = last.id
    }
  }
}

/// Another rebuild of the same projection flipped first.
public struct RebuildOvertaken: Error, Sendable, CustomStringConvertible {
  public var projection: String
  public var description: String {
    "another rebuild of \(projection) finished first; its rows serve now"
  }
}
