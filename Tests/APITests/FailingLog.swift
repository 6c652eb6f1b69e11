import EventSourcing

/// A log that fails whatever it is asked.
struct FailingLog: EventLog {
  var error: any Error

  func enqueue(_ commit: ProposedCommit) -> AppendTicket {
    let ticket = AppendTicket()
    ticket.settle(.failure(error))
    return ticket
  }

  func read(after position: Position, limit: Int) async throws -> [RecordedCommit] { throw error }
  func scan(
    _ positions: Range<Position>, for selection: EventSelection
  ) async throws -> LogSlice { throw error }
  func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] { throw error }
  func version(of stream: StreamName) async throws -> Version { throw error }
  func head() async throws -> Position { throw error }
  func commit(of command: CommandID) async throws -> RecordedCommit? { throw error }
  func events(matching query: EventQuery) async throws -> [Recorded] { throw error }
  func events(at positions: [Position]) async throws -> [Recorded] { throw error }
  func statistics() async throws -> LogStatistics { throw error }
  func waitForEvents(after position: Position, timeout: Duration) async -> Bool { true }
}
