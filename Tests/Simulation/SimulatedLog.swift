import EventSourcing
import Synchronization

/// The log as one process sees it: the same for all of them, behind a network that fails, and gone
/// when the process dies.
final class SimulatedLog: EventLog, @unchecked Sendable {
  private struct Queued {
    var commit: ProposedCommit
    var ticket: AppendTicket
  }

  private let world: World
  private unowned let process: SimulatedProcess
  private var queue: [Queued] = []
  private var isPumping = false

  init(world: World, process: SimulatedProcess) {
    self.world = world
    self.process = process
  }

  private var base: InMemoryLog { world.log }

  // MARK: Appending

  func enqueue(_ commit: ProposedCommit) -> AppendTicket {
    let ticket = AppendTicket()
    guard process.isAlive else {
      ticket.settle(.failure(AppendFailure.notDone("the process is dead")))
      return ticket
    }
    queue.append(Queued(commit: commit, ticket: ticket))
    if !isPumping {
      isPumping = true
      Task { await self.pump() }
    }
    return ticket
  }

  private func pump() async {
    while !queue.isEmpty {
      let next = queue.removeFirst()
      next.ticket.settle(await outcome(of: next.commit))
    }
    isPumping = false
  }

  private func outcome(of commit: ProposedCommit) async -> AppendTicket.Outcome {
    do {
      try await process.reach("append \(commit.events.map(\.type).joined(separator: " "))")
      if world.fails(\.appendFails) { return await failure(of: commit) }
      let outcome = record(commit)
      // Its answer may never arrive.
      try await process.reach("appended")
      return outcome
    } catch {
      return .failure(AppendFailure.notDone("the process has died"))
    }
  }

  private func record(_ commit: ProposedCommit) -> AppendTicket.Outcome {
    let ticket = base.enqueue(commit)
    let outcome = ticket.settled ?? .failure(AppendFailure.notDone("not settled"))
    if outcome.isFirst, case .success(let appended) = outcome {
      world.didAppend(appended.commit, by: process)
    }
    return outcome
  }

  private func failure(of commit: ProposedCommit) async -> AppendTicket.Outcome {
    let id = commit.context.commandID
    switch world.chance.number(in: 0...3) {
    case 0:
      world.tell("\(process.name): the append fails")
      return .failure(AppendFailure.notDone("the network is down"))
    case 1:
      world.tell("\(process.name): the append's answer is lost")
      _ = record(commit)
    case 2: world.tell("\(process.name): the append is lost")
    default:
      world.tell("\(process.name): the append is late")
      var late = commit
      late.builtOn = []
      // What it was built on is there, or was never.
      guard commit.builtOn.allSatisfy({ $0.settled?.isFirst == true }) else { break }
      let pause = world.chance.duration(upTo: .seconds(20))
      Task { [late] in
        try? await Task.sleep(for: pause)
        _ = self.record(late)
      }
    }
    return .failure(AppendFailure.unknown(id))
  }

  // MARK: Reading

  private func read() async throws { try await process.read() }

  func read(after position: Position, limit: Int) async throws -> [RecordedCommit] {
    try await read()
    return try await base.read(after: position, limit: limit)
  }

  func scan(_ positions: Range<Position>, for selection: EventSelection) async throws -> LogSlice {
    try await read()
    return try await base.scan(positions, for: selection)
  }

  func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] {
    try await read()
    return try await base.readStream(stream, from: version, limit: limit)
  }

  func version(of stream: StreamName) async throws -> Version {
    try await read()
    return try await base.version(of: stream)
  }

  func head() async throws -> Position {
    try await read()
    return try await base.head()
  }

  func commit(of command: CommandID) async throws -> RecordedCommit? {
    try await read()
    return try await base.commit(of: command)
  }

  func events(matching query: EventQuery) async throws -> [Recorded] {
    try await read()
    return try await base.events(matching: query)
  }

  func events(at positions: [Position]) async throws -> [Recorded] {
    try await process.readTimer()
    return try await base.events(at: positions)
  }

  func statistics() async throws -> LogStatistics { try await base.statistics() }

  func waitForEvents(after position: Position, timeout: Duration) async -> Bool {
    await process.waitForEvents(after: position, timeout: timeout)
  }
}

/// Something that a process asked for is not there at the moment.
struct Unreachable: Error {}
