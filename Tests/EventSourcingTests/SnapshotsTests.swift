import EventSourcing
import EventSourcingTesting
import Foundation
import Synchronization
import Testing

extension Counter: SnapshottingDecider {
  static var snapshotSchema: Int { 3 }
  static func snapshot(of state: Int64) -> Fields { ["total": .integer(state)] }
  static func state(from snapshot: Fields) throws -> Int64 { try snapshot.integer("total") }
}

/// A log that counts the events that were read of streams.
private final class CountingLog: ForwardingLog {
  let base: InMemoryLog
  private let count = Mutex(0)

  init(base: InMemoryLog) { self.base = base }

  var eventsRead: Int { count.withLock { $0 } }

  func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] {
    let events = try await base.readStream(stream, from: version, limit: limit)
    count.withLock { $0 += events.count }
    return events
  }
}

/// A store that cannot be reached, and counts who tried.
private final class FailingSnapshots: SnapshotStore {
  struct Unreachable: Error {}
  private let count = Mutex(0)

  var asked: Int { count.withLock { $0 } }

  private func fail() throws -> Never {
    count.withLock { $0 += 1 }
    throw Unreachable()
  }

  func snapshot(of stream: StreamName) async throws -> Snapshot? { try fail() }
  func save(_ snapshot: Snapshot) async throws -> Bool { try fail() }
  func discard(_ header: Snapshot.Header) async throws { try fail() }
  func headers(after stream: StreamName?, limit: Int) async throws -> [Snapshot.Header] {
    try fail()
  }
  func removeAll() async throws { try fail() }
}

@Suite("Snapshots")
struct SnapshotsTests {
  private static let stream = Counter.stream("a")
  private static let start = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000)

  private let log = InMemoryLog()
  private let store = InMemorySnapshots()
  private var snapshots: Snapshots { Snapshots(log: log, store: store) }

  /// Appends that many events of 1, one commit each; `seconds` says when each was written.
  private func grow(
    _ count: Int, in log: InMemoryLog, amount: Int64 = 1, seconds: (Int) -> Int64 = { Int64($0) }
  ) async throws {
    for index in 0..<count {
      try await log.append(
        ProposedCommit(
          context: CommitContext(
            commandID: .random(), timestamp: Self.start.adding(seconds: seconds(index)),
            serviceName: "test"),
          events: [ProposedEvent(CounterMoved(amount: amount), in: Self.stream)]))
    }
  }

  private func total(
    _ snapshots: Snapshots, upTo bound: ReplayBound = ReplayBound()
  ) async throws -> (total: Int64, version: Version)? {
    try await snapshots.fold(Self.stream, with: AggregateFold(Counter.self), upTo: bound)
      .map { ($0.fold.state, $0.version) }
  }

  private func take(upTo version: Int64? = nil) async throws -> Snapshot.Header? {
    try await snapshots.take(
      of: Self.stream, with: AggregateFold(Counter.self), upTo: version.map { Version($0) })
  }

  private func waitForSnapshot(at version: Int64) async throws {
    for _ in 0..<2000 {
      if try await store.snapshot(of: Self.stream)?.header.version == Version(version) { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("there is no snapshot at version \(version)")
  }

  @Test("keep every promise in memory", arguments: SnapshotConformance.checks)
  func conforms(_ check: SnapshotConformance.Check) async throws {
    try await check.run(InMemorySnapshots())
  }

  @Test("a replay answers the same with a snapshot at any version and without, at any bound")
  func sameAnswers() async throws {
    // Clocks run apart: event 6 is later than all that follow it.
    try await grow(12, in: log) { $0 == 5 ? 100 : Int64($0) }
    let none = Snapshots(log: log, store: nil)
    var bounds = [ReplayBound()]
    for number in Int64(0)...13 {
      bounds.append(ReplayBound(version: Version(number)))
      bounds.append(ReplayBound(time: Self.start.adding(seconds: number)))
      bounds.append(ReplayBound(version: Version(number), time: Self.start.adding(seconds: 7)))
    }
    bounds.append(ReplayBound(time: Self.start.adding(seconds: 100)))
    for version in Int64(1)...12 {
      try await store.removeAll()
      #expect(try await take(upTo: version)?.version == Version(version))
      for bound in bounds {
        let with = try await total(snapshots, upTo: bound)
        let without = try await total(none, upTo: bound)
        #expect(with?.total == without?.total, "snapshot at \(version), \(bound)")
        #expect(with?.version == without?.version, "snapshot at \(version), \(bound)")
      }
    }
    try await store.removeAll()
    #expect(try await total(snapshots)?.total == 12)
  }

  @Test("only what lies behind the snapshot is read, and the event that it was taken at")
  func readsTail() async throws {
    try await grow(50, in: log)
    _ = try await take(upTo: 47)
    let counting = CountingLog(base: log)
    #expect(try await total(Snapshots(log: counting, store: store))?.total == 50)
    #expect(counting.eventsRead == 4)
  }

  @Test("a snapshot that cannot be read is left aside and gives way")
  func unreadable() async throws {
    try await grow(5, in: log)
    let header = try #require(try await take())
    try await store.removeAll()
    _ = try await store.save(Snapshot(header: header, state: ["total": "five"]))
    #expect(try await total(snapshots)?.total == 5)
    #expect(try await store.snapshot(of: Self.stream) == nil)
    #expect(try await take() != nil)
    #expect(try await store.snapshot(of: Self.stream)?.state == ["total": 5])
  }

  @Test("a snapshot of an older schema is not read, and replaced")
  func olderSchema() async throws {
    try await grow(5, in: log)
    var header = try #require(try await take())
    try await store.removeAll()
    header.schema = 2
    _ = try await store.save(Snapshot(header: header, state: ["total": 99]))
    #expect(try await total(snapshots)?.total == 5)
    #expect(try await take()?.schema == 3)
    #expect(try await store.snapshot(of: Self.stream)?.state == ["total": 5])
  }

  @Test("a snapshot beyond the end of a log that lost it is not believed")
  func cutLog() async throws {
    try await grow(8, in: log)
    _ = try await take()
    let restored = InMemoryLog()
    try await grow(6, in: restored)
    #expect(try await total(Snapshots(log: restored, store: store))?.total == 6)
  }

  @Test("nor is one of a log that lost its end and has grown anew, at whatever length")
  func regrownLog() async throws {
    for length in [8, 9, 20] {
      try await store.removeAll()
      let lost = InMemoryLog()
      try await grow(8, in: lost)
      _ = try await Snapshots(log: lost, store: store)
        .take(of: Self.stream, with: AggregateFold(Counter.self))
      let regrown = InMemoryLog()
      try await grow(length, in: regrown, amount: 2)
      let snapshots = Snapshots(log: regrown, store: store)
      #expect(try await total(snapshots)?.total == Int64(2 * length))
      let handler = CommandHandler<Counter>(log: regrown, snapshots: store)
      #expect(try await handler.state(of: "a").state == Int64(2 * length))
    }
  }

  @Test("a store that fails is as good as an empty one")
  func failingStore() async throws {
    let store = FailingSnapshots()
    try await grow(1001, in: log)
    #expect(try await total(Snapshots(log: log, store: store))?.total == 1001)
    let handler = CommandHandler<Counter>(log: log, snapshots: store)
    try await handler.handle(.add(-1), on: "a", context: context())
    #expect(try await handler.state(of: "a").state == 1000)
    await #expect(throws: FailingSnapshots.Unreachable.self) {
      try await Snapshots(log: log, store: store)
        .take(of: Self.stream, with: AggregateFold(Counter.self))
    }
  }

  @Test("there is none of a stream without events, nor of a kind that keeps none")
  func none() async throws {
    #expect(try await take() == nil)
    try await grow(1, in: log)
    let plain = AggregateFold<Plain>(Plain.self)
    #expect(try await snapshots.take(of: Self.stream, with: plain) == nil)
  }

  @Test("a replay that was long takes one, once it is over")
  func afterLongReplay() async throws {
    try await grow(Int(Snapshots.interval) - 1, in: log)
    _ = try await total(snapshots)
    try await grow(1, in: log)
    #expect(try await store.snapshot(of: Self.stream) == nil)
    _ = try await total(snapshots)
    try await waitForSnapshot(at: Snapshots.interval)
  }

  // MARK: Command handlers

  private func context() -> CommitContext {
    CommitContext(commandID: .random(), timestamp: .now, serviceName: "test")
  }

  private func move(
    _ handler: CommandHandler<Counter>, times: Int, concurrently: Int = 50
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<times {
        if number >= concurrently { try await group.next() }
        // So few steps that the counter stays in its range.
        let amount: Int64 = number.isMultiple(of: 4) ? 1 : 0
        group.addTask {
          try await handler.handle(.add(amount), on: "a", context: self.context())
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("a command handler has one taken at every thousandth event")
  func automatic() async throws {
    let handler = CommandHandler<Counter>(log: log, snapshots: store)
    try await move(handler, times: 999)
    #expect(try await store.snapshot(of: Self.stream) == nil)
    try await move(handler, times: 101)
    try await waitForSnapshot(at: 1000)
    let total = Counter.state(
      after: try await log.stream(Self.stream).prefix(1000).map(Counter.decode))
    #expect(try await store.snapshot(of: Self.stream)?.state == ["total": .integer(total)])
    try await move(handler, times: 900)
    try await waitForSnapshot(at: 2000)
  }

  @Test("it takes none while fewer than a thousand events lie behind the last")
  func notYetDue() async throws {
    let handler = CommandHandler<Counter>(log: log, snapshots: store)
    try await grow(500, in: log, amount: 0)
    _ = try await take()
    try await grow(499, in: log, amount: 0)
    try await handler.handle(.add(1), on: "a", context: context())
    try await grow(999, in: log, amount: 0)
    handler.forget(["a"])
    try await handler.handle(.add(1), on: "a", context: context())
    try await waitForSnapshot(at: 2000)
  }

  @Test(
    "of a large state it takes one as often as pays, and tries no oftener when that fails",
    arguments: [true, false])
  func largeStates(keepsAny: Bool) async throws {
    let store = SmallSnapshots(keepsAny: keepsAny)
    let handler = CommandHandler<Hoard>(log: log, snapshots: store)
    for thousand in Int64(1)...6 {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<1000 {
          if number >= 50 { try await group.next() }
          group.addTask { try await handler.handle(.add(0), on: "a", context: self.context()) }
        }
        try await group.waitForAll()
      }
      let due = Version(thousand < 4 ? 1000 : 4000)
      for _ in 0..<2000 where store.tried.last != due {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
    #expect(store.tried == [Version(1000), Version(4000)])
  }

  @Test("a command handler reads a long stream from its snapshot on, and decides as ever")
  func loading() async throws {
    try await grow(60, in: log)
    _ = try await take(upTo: 58)
    let counting = CountingLog(base: log)
    let handler = CommandHandler<Counter>(log: counting, snapshots: store)
    #expect(try await handler.state(of: "a").version == Version(60))
    #expect(counting.eventsRead == 3)
    await #expect(throws: CounterRejection.outOfRange) {
      try await handler.handle(.add(941), on: "a", context: context())
    }
    try await handler.handle(.add(940), on: "a", context: context())
    #expect(try await total(Snapshots(log: log, store: nil))?.total == 1000)
  }

  @Test("a stream that is expected not to exist is not looked up")
  func newStreams() async throws {
    let store = FailingSnapshots()
    let handler = CommandHandler<Counter>(log: log, snapshots: store)
    try await handler.handle(.add(1), on: "a", context: context(), expected: .noStream)
    try await handler.handle(.add(1), on: "a", context: context())
    #expect(store.asked == 0)
  }

  @Test("two processes that write one stream leave a snapshot that is right")
  func twoProcesses() async throws {
    let handlers = (0..<2).map { _ in
      CommandHandler<Counter>(log: log, snapshots: store, maximumAttempts: .max)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for handler in handlers {
        group.addTask { try await self.move(handler, times: 1000, concurrently: 1) }
      }
      try await group.waitForAll()
    }
    try await waitForSnapshot(at: 2000)
    let kept = try #require(try await store.snapshot(of: Self.stream))
    let events = try await log.stream(Self.stream)
    #expect(kept.header.isOf(events[1999]))
    let state = Counter.state(after: try events.prefix(2000).map(Counter.decode))
    #expect(kept.state == ["total": .integer(state)])
  }
}

/// A decider that keeps no snapshots.
/// Keeps snapshots, or finds all of them too large, and notes those that it was given.
private final class SmallSnapshots: SnapshotStore {
  private let base = InMemorySnapshots()
  private let keepsAny: Bool
  private let versions = Mutex<[Version]>([])

  init(keepsAny: Bool) { self.keepsAny = keepsAny }

  var tried: [Version] { versions.withLock { $0 } }

  func snapshot(of stream: StreamName) async throws -> Snapshot? {
    try await base.snapshot(of: stream)
  }

  func save(_ snapshot: Snapshot) async throws -> Bool {
    versions.withLock { $0.append(snapshot.header.version) }
    guard keepsAny else { throw SnapshotTooLarge(bytes: .max) }
    return try await base.save(snapshot)
  }

  func discard(_ header: Snapshot.Header) async throws { try await base.discard(header) }
  func headers(after stream: StreamName?, limit: Int) async throws -> [Snapshot.Header] {
    try await base.headers(after: stream, limit: limit)
  }
  func removeAll() async throws { try await base.removeAll() }
}

/// A counter with a snapshot of a mebibyte: more than 2,000 events go by until the next one.
private enum Hoard: SnapshottingDecider {
  static let category = "hoards"
  static var initial: Int64 { 0 }
  static var snapshotSchema: Int { 1 }
  static func decide(
    _ command: CounterCommand, _ state: Int64
  ) throws(CounterRejection) -> [CounterMoved] {
    try Counter.decide(command, state)
  }
  static func evolve(_ state: inout Int64, _ event: CounterMoved) { state += event.amount }
  static func snapshot(of state: Int64) -> Fields {
    ["total": .integer(state), "hoard": .string(String(repeating: "x", count: 1 << 20))]
  }
  static func state(from snapshot: Fields) throws -> Int64 { try snapshot.integer("total") }
}

private enum Plain: Decider {
  static let category = "plain"
  static var initial: Int64 { 0 }
  static func decide(_ command: Int64, _ state: Int64) throws(CounterRejection) -> [CounterMoved] {
    []
  }
  static func evolve(_ state: inout Int64, _ event: CounterMoved) { state += event.amount }
}
