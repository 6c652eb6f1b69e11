/// Reads rows together with the position that they stand at, across rebuilds.
public struct ReadModelReader: Sendable {
  /// Something read from a read model. All events up to `position` are in it.
  public struct Answer<Value: Sendable>: Sendable {
    public var value: Value
    public var position: Position
    /// Counts rebuilds: which build of the rows answered.
    public var generation: Int = 1
  }

  public struct Page: Sendable {
    public var rows: [StoredRow]
    /// Where the next page starts; nil on the last one.
    public var next: PageCursor?
  }

  private let store: any ReadModelStore
  private let board: ProjectionBoard

  public init(store: any ReadModelStore, board: ProjectionBoard) {
    self.store = store
    self.board = board
  }

  /// One row by its id.
  public func row(
    _ id: String, of projection: String, minimumPosition: Position?, waitMax: Duration
  ) async throws -> Answer<StoredRow?> {
    try await read(projection, minimumPosition: minimumPosition, waitMax: waitMax) { collection in
      try await store.load([id], from: collection)[id]
    } isEmpty: {
      $0 == nil
    }
  }

  /// One page of rows.
  public func page(
    _ query: ReadModelQuery, of projection: String, minimumPosition: Position?, waitMax: Duration
  ) async throws -> Answer<Page> {
    try await read(projection, minimumPosition: minimumPosition, waitMax: waitMax) { collection in
      var oneMore = query
      oneMore.limit = query.limit + 1
      let rows = try await store.find(oneMore, in: collection)
      let page = Array(rows.prefix(query.limit))
      return Page(
        rows: page, next: rows.count > query.limit ? page.last.map(query.cursor(after:)) : nil)
    } isEmpty: {
      $0.rows.isEmpty
    }
  }

  /// Waits for `minimumPosition` for a bounded time, then reads. The position is taken before the
  /// rows are read, so the rows are never older than it says.
  private func read<Value: Sendable>(
    _ projection: String, minimumPosition: Position?, waitMax: Duration,
    _ body: (String) async throws -> Value, isEmpty: (Value) -> Bool
  ) async throws -> Answer<Value> {
    var progress = try await current(projection)
    if let minimumPosition, progress.position < minimumPosition {
      progress = try await wait(projection, for: minimumPosition, waitMax: waitMax)
    }
    while true {
      let value = try await body(progress.collection)
      // An empty answer may come from a collection that a rebuild has just dropped.
      guard isEmpty(value) else { return Answer(value: value, position: progress.position) }
      guard let stored = try await store.progress(of: projection),
        stored.generation != progress.generation
      else { return Answer(value: value, position: progress.position) }
      progress = stored
    }
  }

  private func current(_ projection: String) async throws -> ProjectionProgress {
    if let status = board.status(of: projection) { return status.progress }
    return try await store.progress(of: projection)
      ?? ProjectionProgress(projection: projection, generation: 1, position: .start)
  }

  private func wait(
    _ projection: String, for position: Position, waitMax: Duration
  ) async throws -> ProjectionProgress {
    if board.status(of: projection) != nil {
      await board.wait(for: projection, position: position, timeout: waitMax)
      return try await current(projection)
    }
    let deadline = ContinuousClock.now + waitMax
    var progress = try await current(projection)
    while progress.position < position, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(10))
      progress = try await current(projection)
    }
    return progress
  }
}
