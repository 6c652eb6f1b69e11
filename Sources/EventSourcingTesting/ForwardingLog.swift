import EventSourcing

/// A log that hands every question on to another one; a test's own log answers some by itself.
public protocol ForwardingLog: EventLog {
  var base: InMemoryLog { get }
}

extension ForwardingLog {
  public func enqueue(_ commit: ProposedCommit) -> AppendTicket { base.enqueue(commit) }
  public func read(after position: Position, limit: Int) async throws -> [RecordedCommit] {
    try await base.read(after: position, limit: limit)
  }
  public func scan(
    _ positions: Range<Position>, for selection: EventSelection
  ) async throws -> LogSlice {
    try await base.scan(positions, for: selection)
  }
  public func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] {
    try await base.readStream(stream, from: version, limit: limit)
  }
  public func version(of stream: StreamName) async throws -> Version {
    try await base.version(of: stream)
  }
  public func head() async throws -> Position { try await base.head() }
  public func commit(of command: CommandID) async throws -> RecordedCommit? {
    try await base.commit(of: command)
  }
  public func events(matching query: EventQuery) async throws -> [Recorded] {
    try await base.events(matching: query)
  }
  public func events(at positions: [Position]) async throws -> [Recorded] {
    try await base.events(at: positions)
  }
  public func statistics() async throws -> LogStatistics { try await base.statistics() }
  public func waitForEvents(after position: Position, timeout: Duration) async -> Bool {
    await base.waitForEvents(after: position, timeout: timeout)
  }
}
