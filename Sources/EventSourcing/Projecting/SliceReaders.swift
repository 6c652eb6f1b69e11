/// Reads a stretch of the log by several readers at a time, each a range of positions, and gives
/// the slices out in the order of the log. A bounded number of them is read ahead.
struct SliceReaders {
  struct Slice {
    var events: [Recorded]
    /// The last position that it covers.
    var through: Position
  }

  private let log: any EventLog
  private let selection: EventSelection
  private let after: Position
  private let through: Position
  private let slicePositions: Int
  private let readersMax: Int
  /// Where the next range begins.
  private var next: Position
  /// Where the next slice must begin.
  private var expected: Position
  private var reading: [(end: Position, task: Task<LogSlice, any Error>)] = []
  private var hasBegun = false

  /// - Parameters:
  ///   - after: where the reading begins, itself not included.
  ///   - through: the last position.
  ///   - slicePositions: positions of a slice: more than a commit can hold.
  init(
    _ log: any EventLog, for selection: EventSelection, after: Position, through: Position,
    readersMax: Int, slicePositions: Int = 4 * ProposedCommit.maximumEvents
  ) {
    self.log = log
    self.selection = selection
    self.after = after
    self.through = through
    self.readersMax = readersMax
    self.slicePositions = slicePositions
    next = after + 1
    expected = next
  }

  /// The next slice; nil at the end.
  /// - Throws: ``LogCorruption`` when something is missing between two slices.
  mutating func nextSlice() async throws -> Slice? {
    if !hasBegun {
      hasBegun = true
      if let rest = try await restOfCommit() { return rest }
    }
    startReading()
    guard !reading.isEmpty else { return nil }
    let (end, task) = reading.removeFirst()
    let slice = try await task.value
    // The range lies inside the commit before it.
    if slice.first == nil, expected > end { return try await nextSlice() }
    guard let first = slice.first, let behind = slice.next, first == expected else {
      throw LogCorruption(
        position: expected,
        reason: slice.first.map { "the next commit is at \($0)" } ?? "no commit is there")
    }
    expected = behind
    startReading()
    return cut(slice.events, through: max(end, Position(behind.rawValue - 1)))
  }

  /// What is left of a commit that begins before the stretch and reaches into it.
  private mutating func restOfCommit() async throws -> Slice? {
    guard after > .start, let commit = try await log.read(after: after, limit: 1).first,
      commit.header.firstPosition <= after
    else { return nil }
    next = commit.header.lastPosition + 1
    expected = next
    return cut(commit.events.filter(selection.takes), through: commit.header.lastPosition)
  }

  private func cut(_ events: [Recorded], through end: Position) -> Slice {
    guard end > through else { return Slice(events: events, through: end) }
    return Slice(events: events.filter { $0.position <= through }, through: through)
  }

  private mutating func startReading() {
    while reading.count < readersMax, next <= through {
      let end = min(next + slicePositions, through + 1)
      let range = next..<end
      let (log, selection) = (log, selection)
      let task = Task { try await log.scan(range, for: selection) }
      reading.append((Position(end.rawValue - 1), task))
      next = end
    }
  }

  /// Ends the readers; to be called when the slices are not read to their end.
  func cancel() {
    for (_, task) in reading { task.cancel() }
  }
}
