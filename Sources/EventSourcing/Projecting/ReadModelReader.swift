/// Reads rows together with the position that they stand at, across rebuilds.
public struct ReadModelReader: Sendable {
  /// Something read from a read model. All events up to `position` are in it.
  public struct Answer<Value: Sendable>: Sendable {
    public var value: Value
    public var position: Position
    /// Of the rows that were read: see ``ProjectionProgress/generation``.
    public var generation: Int
  }

  public struct Page: Sendable {
    public var rows: [StoredRow]
    /// Where the next page starts; nil on the last one.
    public var next: PageCursor?
  }

  private static let pollPause: Duration = .milliseconds(10)

  private let store: any ReadModelStore
  private let board: ProjectionBoard

  public init(store: any ReadModelStore, board: ProjectionBoard) {
    self.store = store
    self.board = board
  }

  /// One row by its id. Where the projection is driven in this process and the row is hot, no
  /// database is asked; it is never older than the projection stands.
  public func row(
    _ id: String, of projection: String, minimumPosition: Position?, waitMax: Duration
  ) async throws -> Answer<StoredRow?> {
    let deadline = ContinuousClock.now + waitMax
    if let minimumPosition, let progress = board.progress(of: projection),
      progress.position < minimumPosition
    {
      await board.wait(for: projection, position: minimumPosition, timeout: waitMax)
    }
    if let hot = board.row(id, of: projection),
      minimumPosition.map({ $0 <= hot.progress.position }) ?? true
    {
      return Answer(
        value: hot.row, position: hot.progress.position, generation: hot.progress.generation)
    }
    return try await read(projection, minimumPosition: minimumPosition, until: deadline) {
      progress in
      let row = try await store.load([id], from: progress.collection)[id]
      if let row { board.keep(row, of: progress) }
      return row
    } isEmpty: {
      $0 == nil
    }
  }

  /// One page of rows.
  public func page(
    _ query: ReadModelQuery, of projection: String, minimumPosition: Position?, waitMax: Duration
  ) async throws -> Answer<Page> {
    let deadline = ContinuousClock.now + waitMax
    return try await read(projection, minimumPosition: minimumPosition, until: deadline) {
      progress in
      var oneMore = query
      oneMore.limit = query.limit + 1
      let rows = try await store.find(oneMore, in: progress.collection)
      let page = Array(rows.prefix(query.limit))
      return Page(
        rows: page, next: rows.count > query.limit ? page.last.map(query.cursor(after:)) : nil)
    } isEmpty: {
      $0.rows.isEmpty
    }
  }

  /// How many rows there are, at most the query's limit.
  public func count(_ query: ReadModelQuery, of projection: String) async throws -> Int {
    try await read(projection, minimumPosition: nil, until: .now) { progress in
      try await store.count(query, in: progress.collection)
    } isEmpty: {
      $0 == 0
    }.value
  }

  /// Waits for `minimumPosition` until `deadline`, then reads. The position is taken before the
  /// rows are read, so the rows are never older than it says.
  private func read<Value: Sendable>(
    _ projection: String, minimumPosition: Position?, until deadline: ContinuousClock.Instant,
    _ body: (ProjectionProgress) async throws -> Value, isEmpty: (Value) -> Bool
  ) async throws -> Answer<Value> {
    var progress = try await current(projection)
    if let minimumPosition, progress.position < minimumPosition {
      progress = try await wait(projection, for: minimumPosition, until: deadline)
    }
    while true {
      let value = try await body(progress)
      let answer = Answer(
        value: value, position: progress.position, generation: progress.generation)
      // An empty answer may come from a collection that a rebuild has just dropped.
      guard isEmpty(value), let stored = try await store.progress(of: projection),
        stored.generation != progress.generation
      else { return answer }
      progress = stored
    }
  }

  private func current(_ projection: String) async throws -> ProjectionProgress {
    if let progress = board.progress(of: projection) { return progress }
    return try await store.progress(of: projection)
      ?? ProjectionProgress(projection: projection, generation: 1, position: .start)
  }

  private func wait(
    _ projection: String, for position: Position, until deadline: ContinuousClock.Instant
  ) async throws -> ProjectionProgress {
    var progress = try await current(projection)
    while progress.position < position, ContinuousClock.now < deadline {
      if board.progress(of: projection) != nil {
        await board.wait(for: projection, position: position, timeout: deadline - .now)
      } else {
        try await Task.sleep(for: Self.pollPause)
      }
      progress = try await current(projection)
    }
    return progress
  }
}
