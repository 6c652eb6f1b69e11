import EventSourcing
import EventSourcingTesting
import Foundation
import Synchronization
import Testing

struct CounterMoved: EventSourcing.Event, Equatable {
  var amount: Int64

  init(amount: Int64) { self.amount = amount }

  var type: String { "CounterMoved" }
  var data: Fields { Fields([("amount", .integer(amount))]) }

  init(type: String, schema: Int, data: Fields) throws {
    guard type == "CounterMoved" else { throw UnknownEvent(type: type, schema: schema) }
    self.init(amount: try data.integer("amount"))
  }
}

enum CounterCommand: Sendable {
  /// Not idempotent: twice is twice.
  case add(Int64)
  /// Idempotent: nothing happens when the total is reached.
  case reach(Int64)
}

enum CounterRejection: Error, Equatable {
  case outOfRange
}

/// A number from 0 to 1000.
enum Counter: Decider {
  typealias State = Int64
  typealias Command = CounterCommand
  typealias Event = CounterMoved
  typealias Rejection = CounterRejection

  static let category = "counters"
  static var initial: Int64 { 0 }

  static func decide(
    _ command: CounterCommand, _ state: Int64
  ) throws(CounterRejection) -> [CounterMoved] {
    switch command {
    case .add(let amount):
      guard (0...1000).contains(state + amount) else { throw CounterRejection.outOfRange }
      return [CounterMoved(amount: amount)]
    case .reach(let total):
      return total > state ? [CounterMoved(amount: total - state)] : []
    }
  }

  static func evolve(_ state: inout Int64, _ event: CounterMoved) { state += event.amount }
}

private func context(
  _ command: CommandID = .random(), fingerprint: String? = nil
) -> CommitContext {
  CommitContext(
    commandID: command, fingerprint: fingerprint, timestamp: .now, serviceName: "test")
}

/// What another process would have appended.
private func appendBehind(_ log: InMemoryLog, _ amount: Int64, to id: String) async throws {
  try await log.append(
    ProposedCommit(
      context: context(),
      events: [ProposedEvent(CounterMoved(amount: amount), in: Counter.stream(id))]))
}

/// A log that can keep a question for a stream's version waiting.
private final class SlowLog: ForwardingLog {
  private enum Holding { case no, next, now }

  let base: InMemoryLog
  private let holding = Mutex(Holding.no)

  init(base: InMemoryLog) { self.base = base }

  var isHolding: Bool { holding.withLock { $0 == .now } }
  func holdNextVersion() { holding.withLock { $0 = .next } }
  func letGo() { holding.withLock { $0 = .no } }

  func version(of stream: StreamName) async throws -> Version {
    let isHeld = holding.withLock { holding in
      defer { if holding == .next { holding = .now } }
      return holding == .next
    }
    while isHeld, isHolding { try await Task.sleep(for: .milliseconds(1)) }
    return try await base.version(of: stream)
  }
}

/// A log that lets nobody read a stream.
private struct UnreadableStreams: ForwardingLog {
  struct Unreadable: Error {}

  let base: InMemoryLog

  func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] { throw Unreadable() }
}

@Suite("The command handler")
struct CommandHandlerTests {
  private let log = InMemoryLog()
  private let handler: CommandHandler<Counter>

  init() { handler = CommandHandler(log: log) }

  private func total(_ id: String) async throws -> Int64 {
    let events = try await log.stream(Counter.stream(id))
    return Counter.state(after: try events.map(Counter.decode))
  }

  @Test("a command's events land in its stream with its context")
  func lands() async throws {
    let command = context(fingerprint: "x")
    let outcome = try await handler.handle(.add(3), on: "a", context: command)
    #expect(!outcome.isRepeated)
    #expect(outcome.position == Position(1))
    let events = try await log.stream(Counter.stream("a"))
    #expect(events.map(\.header.context) == [command])
    let state = try await handler.state(of: "a")
    #expect(state.state == 3)
    #expect(state.version == Version(1))
  }

  @Test("a rejection leaves no event")
  func rejection() async throws {
    await #expect(throws: CounterRejection.outOfRange) {
      try await handler.handle(.add(1001), on: "a", context: context())
    }
    let head = try await log.head()
    #expect(head == Position.start)
  }

  @Test(
    "a command that stands behind an append that failed is not tried again, and leaves no event")
  func precedingFailed() async throws {
    let failed = AppendTicket()
    failed.settle(.failure(AppendFailure.notDone("no network")))
    await #expect(throws: AppendConflict.self) {
      try await AppendTicket.$preceding.withValue(failed) {
        try await handler.handle(.add(1), on: "a", context: context())
      }
    }
    #expect(try await log.head() == .start)
    try await handler.handle(.add(2), on: "a", context: context())
    #expect(try await total("a") == 2)
  }

  @Test("what is done meanwhile is told what was queued, and may append behind it")
  func meanwhile() async throws {
    let command = context()
    try await handler.handle(
      .add(1), on: "a", context: command,
      meanwhile: { [handler] ticket, commit in
        #expect(commit.context == command)
        _ = try? await AppendTicket.$preceding.withValue(ticket) {
          try await handler.handle(.add(2), on: "b", context: context())
        }
      })
    let commits = try await log.read(after: .start, limit: 10)
    #expect(commits.flatMap(\.events).map(\.stream.id) == ["a", "b"])
  }

  @Test("a command that is done already leaves no event")
  func nothingToDo() async throws {
    try await handler.handle(.reach(5), on: "a", context: context())
    let outcome = try await handler.handle(.reach(4), on: "a", context: context())
    #expect(outcome.commit == nil)
    #expect(outcome.position == nil)
    #expect(!outcome.isRepeated)
    let head = try await log.head()
    #expect(head == Position(1))
  }

  @Test("a hundred concurrent commands on one stream all land, in one order")
  func concurrentCommands() async throws {
    let handler = handler
    try await withThrowingTaskGroup(of: Void.self) { group in
      for amount in 1...100 {
        group.addTask {
          _ = try await handler.handle(
            .add(amount.isMultiple(of: 2) ? 1 : 2), on: "a", context: context())
        }
      }
      try await group.waitForAll()
    }
    let events = try await log.stream(Counter.stream("a"))
    #expect(events.map(\.version.rawValue) == [Int64](1...100))
    #expect(Set(events.map(\.commandID)).count == 100)
    let folded = try await total("a")
    #expect(folded == 150)
    let state = try await handler.state(of: "a").state
    #expect(state == 150)
  }

  @Test("concurrent commands never break a rule of the decider")
  func concurrentLimit() async throws {
    let handler = handler
    let accepted = try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<50 {
        group.addTask {
          do {
            _ = try await handler.handle(.add(100), on: "a", context: context())
            return true
          } catch CounterRejection.outOfRange {
            return false
          }
        }
      }
      return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    #expect(accepted == 10)
    let folded = try await total("a")
    #expect(folded == 1000)
  }

  @Test("two handlers on one log, as in two processes, lose no command")
  func twoHandlers() async throws {
    let log = log
    let handlers = [
      CommandHandler<Counter>(log: log, maximumAttempts: 1000),
      CommandHandler<Counter>(log: log, maximumAttempts: 1000),
    ]
    try await withThrowingTaskGroup(of: Void.self) { group in
      for handler in handlers {
        group.addTask {
          for _ in 0..<50 {
            _ = try await handler.handle(.add(1), on: "a", context: context())
          }
        }
      }
      try await group.waitForAll()
    }
    let folded = try await total("a")
    #expect(folded == 100)
  }

  @Test("the same command id twice answers the first commit, marked as repeated")
  func sameCommand() async throws {
    let command = CommandID.random()
    let first = try await handler.handle(.add(2), on: "a", context: context(command))
    try await handler.handle(.add(5), on: "a", context: context())
    let second = try await handler.handle(.add(2), on: "a", context: context(command))
    #expect(!first.isRepeated)
    #expect(second.isRepeated)
    #expect(second.position == first.position)
    #expect(second.events.map(\.eventID) == first.events.map(\.eventID))
  }

  @Test("a repeated command that is not idempotent does not double the state")
  func repeatedCommandCountsOnce() async throws {
    let command = CommandID.random()
    for _ in 0..<3 { try await handler.handle(.add(2), on: "a", context: context(command)) }
    let afterRepetition = try await handler.state(of: "a").state
    #expect(afterRepetition == 2)
    try await handler.handle(.add(1), on: "a", context: context())
    let state = try await handler.state(of: "a").state
    #expect(state == 3)
    let folded = try await total("a")
    #expect(folded == 3)
  }

  @Test("repetitions at the same time as other commands count once")
  func concurrentRepetitions() async throws {
    let handler = handler
    let command = CommandID.random()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<20 {
        group.addTask { _ = try await handler.handle(.add(1), on: "a", context: context()) }
        group.addTask {
          _ = try await handler.handle(.add(100), on: "a", context: context(command))
        }
      }
      try await group.waitForAll()
    }
    let folded = try await total("a")
    #expect(folded == 120)
    let state = try await handler.state(of: "a").state
    #expect(state == 120)
  }

  @Test("a repetition is answered though it would now be refused, or have nothing to do")
  func repeatedThoughRefused() async throws {
    let add = CommandID.random()
    let reach = CommandID.random()
    try await handler.handle(.add(600), on: "a", context: context(add))
    try await handler.handle(.reach(700), on: "a", context: context(reach))
    let refusedNow = try await handler.handle(.add(600), on: "a", context: context(add))
    #expect(refusedNow.isRepeated)
    #expect(refusedNow.position == Position(1))
    let doneNow = try await handler.handle(.reach(700), on: "a", context: context(reach))
    #expect(doneNow.isRepeated)
    #expect(doneNow.position == Position(2))
  }

  @Test("the same command id with another payload is refused")
  func otherPayload() async throws {
    let command = CommandID.random()
    try await handler.handle(.add(1), on: "a", context: context(command, fingerprint: "x"))
    for other in [CounterCommand.add(2), .reach(0), .add(5000)] {
      await #expect(throws: CommandIDReused.self) {
        try await handler.handle(other, on: "a", context: context(command, fingerprint: "y"))
      }
    }
    let folded = try await total("a")
    #expect(folded == 1)
  }

  @Test("a decision on a stale state is made again")
  func staleState() async throws {
    try await handler.handle(.add(1), on: "a", context: context())
    try await appendBehind(log, 5, to: "a")
    let outcome = try await handler.handle(.reach(10), on: "a", context: context())
    let events = try outcome.events.map(Counter.decode)
    #expect(events == [CounterMoved(amount: 4)])
    let folded = try await total("a")
    #expect(folded == 10)
  }

  @Test("a refusal on a stale state is not answered")
  func staleRefusal() async throws {
    try await handler.handle(.add(1), on: "a", context: context())
    try await appendBehind(log, 5, to: "a")
    try await handler.handle(.add(-3), on: "a", context: context())
    let folded = try await total("a")
    #expect(folded == 3)
  }

  @Test("a refusal on a stale state is not confirmed by another command that looked again")
  func staleRefusalBesideOthers() async throws {
    let slow = SlowLog(base: log)
    let handler = CommandHandler<Counter>(log: slow)
    try await handler.handle(.add(1000), on: "a", context: context())
    try await appendBehind(log, -5, to: "a")
    // Both are decided on 1000; when the first one gets to look, the second has read what is new.
    slow.holdNextVersion()
    let first = Task { try await handler.handle(.add(1), on: "a", context: context()) }
    while !slow.isHolding { try await Task.sleep(for: .milliseconds(1)) }
    try await handler.handle(.add(1), on: "a", context: context())
    slow.letGo()
    _ = try await first.value
    let folded = try await total("a")
    #expect(folded == 997)
  }

  @Test("nothing to do on a stale state is looked at again")
  func staleNothing() async throws {
    try await handler.handle(.add(9), on: "a", context: context())
    try await appendBehind(log, -5, to: "a")
    let outcome = try await handler.handle(.reach(9), on: "a", context: context())
    #expect(outcome.events.count == 1)
    let folded = try await total("a")
    #expect(folded == 9)
  }

  @Test(
    "an explicit version that is not the stream's throws a conflict",
    arguments: [
      ExpectedVersion.noStream, .exactly(.none), .exactly(Version(2)), .exactly(Version(7)),
    ])
  func explicitMismatch(_ expected: ExpectedVersion) async throws {
    try await handler.handle(.add(1), on: "a", context: context())
    let conflict = await #expect(throws: AppendConflict.self) {
      try await handler.handle(.add(1), on: "a", context: context(), expected: expected)
    }
    #expect(conflict?.stream == Counter.stream("a"))
    #expect(conflict?.actual == Version(1))
    let head = try await log.head()
    #expect(head == Position(1))
  }

  @Test("a stream that is expected to be new and was begun by another process is a conflict")
  func begunElsewhere() async throws {
    try await appendBehind(log, 1, to: "a")
    let conflict = await #expect(throws: AppendConflict.self) {
      try await handler.handle(.add(1), on: "a", context: context(), expected: .noStream)
    }
    #expect(conflict?.stream == Counter.stream("a"))
    try await handler.handle(.add(1), on: "a", context: context())
    let folded = try await total("a")
    #expect(folded == 2)
  }

  @Test("what is refused of a stream that was taken for new is a conflict when it is not new")
  func refusedOfNone() async throws {
    try await appendBehind(log, 5, to: "a")
    await #expect(throws: AppendConflict.self) {
      try await handler.handle(.add(-3), on: "a", context: context(), expected: .noStream)
    }
  }

  @Test("a command that begins a stream does not read it, and is done once")
  func beginning() async throws {
    let unread = CommandHandler<Counter>(log: UnreadableStreams(base: log))
    let command = CommandID.random()
    let first = try await unread.begin(.add(1), on: "a", context: context(command))
    let second = try await handler.begin(.add(1), on: "a", context: context(command))
    #expect(!first.isRepeated && second.isRepeated)
    let folded = try await total("a")
    #expect(folded == 1)
  }

  @Test("a command that was to begin a stream is decided on what another process has begun")
  func beginningOfNone() async throws {
    try await appendBehind(log, 5, to: "a")
    let reached = try await handler.begin(.reach(5), on: "a", context: context())
    #expect(reached.commit == nil)
    try await appendBehind(log, 5, to: "b")
    try await handler.begin(.add(-3), on: "b", context: context())
    let folded = try await total("b")
    #expect(folded == 2)
  }

  @Test("an explicit version that another process has reached is accepted")
  func explicitMatchBeyondCache() async throws {
    try await handler.handle(.add(1), on: "a", context: context(), expected: .noStream)
    try await appendBehind(log, 1, to: "a")
    try await handler.handle(
      .add(1), on: "a", context: context(), expected: .exactly(Version(2)))
    let folded = try await total("a")
    #expect(folded == 3)
  }

  @Test("a stream that was only read and has moved on is a conflict that is not tried again")
  func staleRead() async throws {
    try await appendBehind(log, 1, to: "price")
    let price = Counter.stream("price")
    let conflict = await #expect(throws: AppendConflict.self) {
      try await handler.handle(
        .add(1), on: "a", context: context(), reads: [price: .noStream])
    }
    #expect(conflict?.stream == price)
    let version = try await log.version(of: Counter.stream("a"))
    #expect(version == Version.none)
  }

  @Test("a decision over two aggregates lands whole or not at all")
  func twoAggregates() async throws {
    try await handler.handle(.add(10), on: "a", context: context())
    let handler = handler
    @Sendable func move(_ amount: Int64) async throws -> CommandHandler<Counter>.Outcome {
      try await handler.transact(on: ["a", "b"], context: context()) { states in
        let taken = try Counter.decide(.add(-amount), states["a"] ?? 0)
        let given = try Counter.decide(.add(amount), states["b"] ?? 0)
        return [(id: "a", events: taken), (id: "b", events: given)]
      }
    }
    let outcome = try await move(4)
    #expect(outcome.events.map(\.stream.id) == ["a", "b"])
    await #expect(throws: CounterRejection.outOfRange) { _ = try await move(7) }
    await withDiscardingTaskGroup { group in
      for _ in 0..<10 { group.addTask { _ = try? await move(1) } }
    }
    let left = try await total("a")
    let right = try await total("b")
    #expect(left == 0)
    #expect(right == 10)
  }

  @Test(
    "events of other aggregates land with a decision, when they are what it expects, or not at all")
  func alongside() async throws {
    let note = StreamName(category: "notes", id: "a")
    let handler = handler
    @Sendable func reach(_ total: Int64) async throws -> CommandHandler<Counter>.Outcome {
      try await handler.transact(
        on: ["a"], context: context(), reads: [note: .noStream],
        alongside: [ProposedEvent(stream: note, type: "Noted", data: [:])]
      ) { [("a", try Counter.decide(.reach(total), $0["a"] ?? 0))] }
    }
    #expect(try await reach(0).commit == nil)
    #expect(try await log.version(of: note) == .none)
    #expect(try await reach(2).events.map(\.type) == ["Noted", "CounterMoved"])
    let conflict = await #expect(throws: AppendConflict.self) { try await reach(3) }
    #expect(conflict?.stream == note)
    #expect(try await total("a") == 2)
  }
}
