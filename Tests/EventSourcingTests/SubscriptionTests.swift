import EventSourcing
import Foundation
import Logging
import Synchronization
import Testing

/// Remembers what was handled, and refuses some keys while it is told to.
private final class Handled: Sendable {
  struct Refusal: Error {}

  private struct State {
    var events: [Recorded] = []
    var refused: Set<String>
    var attempts = 0
  }

  private let state: Mutex<State>

  init(refusing refused: Set<String> = []) { state = Mutex(State(refused: refused)) }

  func take(_ event: Recorded) throws {
    try state.withLock { state in
      if state.refused.contains(event.stream.id) {
        state.attempts += 1
        throw Refusal()
      }
      state.events.append(event)
    }
  }

  func heal() { state.withLock { $0.refused = [] } }

  var events: [Recorded] { state.withLock { $0.events } }
  var refusals: Int { state.withLock { $0.attempts } }

  func versions(of id: String) -> [Int64] {
    events.filter { $0.stream.id == id }.map(\.version.rawValue)
  }
}

private struct TimedOut: Error {}

/// Waits until the condition holds, a minute at most.
private func eventually(_ condition: @Sendable () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while true {
    let holds = try await condition()
    if holds { return }
    guard ContinuousClock.now < deadline else { throw TimedOut() }
    try await Task.sleep(for: .milliseconds(5))
  }
}

@Suite("A subscription")
struct SubscriptionTests {
  private let log = InMemoryLog()
  private let store = InMemoryReadModels()

  private func append(_ ids: String..., category: String = "things") async throws {
    try await log.append(
      ProposedCommit(
        context: CommitContext(
          commandID: .random(), timestamp: .now, serviceName: "test"),
        events: ids.map { id in
          ProposedEvent(
            stream: StreamName(category: category, id: id), type: "ThingHappened",
            data: Fields())
        }))
  }

  private func subscription(_ handled: Handled, outstandingMax: Int = 4096) -> Subscription {
    Subscription(
      name: "test", log: log, checkpoints: store,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      outstandingMax: outstandingMax,
      key: { $0.stream.category == "things" ? $0.stream.id : nil },
      handle: { event in
        await Task.yield()
        try handled.take(event)
      })
  }

  /// Runs a subscription as long as `body` takes, and until it has ended.
  private func running(
    _ subscription: Subscription, _ body: () async throws -> Void
  ) async throws {
    let task = Task { try await subscription.run() }
    do {
      try await body()
    } catch {
      task.cancel()
      _ = await task.result
      throw error
    }
    task.cancel()
    _ = await task.result
  }

  @Test("handles every event once, in order per key, those that come later too")
  func everyEvent() async throws {
    for _ in 0..<20 { try await append("a", "b", "a", "c") }
    try await append("x", category: "others")
    let handled = Handled()
    let subscription = subscription(handled)
    try await running(subscription) {
      try await eventually { handled.events.count == 80 }
      for _ in 0..<5 { try await append("b", "d") }
      try await eventually { handled.events.count == 90 }
      try await eventually { subscription.progress.checkpoint == Position(91) }
      #expect(subscription.progress.outstanding == 0)
    }
    #expect(handled.versions(of: "a") == [Int64](1...40))
    #expect(handled.versions(of: "b") == [Int64](1...25))
    #expect(handled.versions(of: "c") == [Int64](1...20))
    #expect(handled.versions(of: "d") == [Int64](1...5))
    #expect(handled.events.count == 90)
    let checkpoint = try await store.checkpoint(of: "test")
    #expect(checkpoint == Position(91))
  }

  @Test("what does not concern it moves the checkpoint on")
  func foreignEvents() async throws {
    for _ in 0..<10 { try await append("x", category: "others") }
    let handled = Handled()
    let subscription = subscription(handled)
    try await running(subscription) {
      try await eventually { subscription.progress.checkpoint == Position(10) }
    }
    #expect(handled.events.isEmpty)
  }

  @Test("a key that fails does not stop the others, and is tried until it succeeds")
  func failingKey() async throws {
    try await append("good", "bad", "other")
    for _ in 0..<10 { try await append("good", "bad", "other") }
    let handled = Handled(refusing: ["bad"])
    let subscription = subscription(handled)
    try await running(subscription) {
      try await eventually { handled.events.count == 22 && handled.refusals >= 2 }
      // An event counts as handled before its lane knows.
      try await eventually { subscription.progress.outstanding == 11 }
      #expect(handled.versions(of: "good") == [Int64](1...11))
      #expect(handled.versions(of: "other") == [Int64](1...11))
      #expect(handled.versions(of: "bad").isEmpty)
      #expect(subscription.progress.checkpoint == Position(1))
      handled.heal()
      try await eventually { subscription.progress.checkpoint == Position(33) }
    }
    #expect(handled.versions(of: "bad") == [Int64](1...11))
    #expect(handled.events.count == 33)
  }

  @Test("the checkpoint never passes an unfinished event, and a restart handles the rest")
  func restart() async throws {
    try await append("good")
    try await append("bad")
    for _ in 0..<9 { try await append("good", "bad") }
    let before = Handled(refusing: ["bad"])
    try await running(subscription(before)) {
      try await eventually { before.events.count == 10 && before.refusals > 0 }
      try await eventually { try await store.checkpoint(of: "test") == Position(1) }
      // Longer than the pause between two saves.
      try await Task.sleep(for: .milliseconds(400))
      let saved = try await store.checkpoint(of: "test")
      #expect(saved == Position(1))
    }
    let saved = try await store.checkpoint(of: "test")
    #expect(saved == Position(1))

    let after = Handled()
    let restarted = subscription(after)
    try await running(restarted) {
      try await eventually { restarted.progress.checkpoint == Position(20) }
    }
    #expect(after.versions(of: "bad") == [Int64](1...10))
    #expect(Set(after.events.map(\.position.rawValue)) == Set<Int64>(2...20))
    let end = try await store.checkpoint(of: "test")
    #expect(end == Position(20))
  }

  @Test("a restart after everything was done handles only what is new")
  func restartAtEnd() async throws {
    for _ in 0..<5 { try await append("a") }
    let before = Handled()
    let first = subscription(before)
    try await running(first) {
      try await eventually { first.progress.checkpoint == Position(5) }
    }
    try await append("a")
    let after = Handled()
    let second = subscription(after)
    try await running(second) {
      try await eventually { second.progress.checkpoint == Position(6) }
    }
    #expect(before.versions(of: "a") == [Int64](1...5))
    #expect(after.versions(of: "a") == [6])
  }

  @Test("a bound on what is outstanding holds reading back and loses nothing")
  func boundedReading() async throws {
    for index in 0..<1200 { try await append("s\(index % 7)") }
    let handled = Handled(refusing: ["s0", "s1", "s2", "s3", "s4", "s5", "s6"])
    let subscription = subscription(handled, outstandingMax: 10)
    try await running(subscription) {
      try await eventually { handled.refusals > 0 }
      // One page of the log at most is read beyond the bound.
      #expect(subscription.progress.outstanding <= 510)
      handled.heal()
      try await eventually { subscription.progress.checkpoint == Position(1200) }
    }
    #expect(handled.events.count == 1200)
  }

  @Test("what goes on is handled before what begins and was there earlier")
  func begunFirst() async throws {
    let gate = Gate()
    let handled = Handled()
    let subscription = Subscription(
      name: "test", log: log, checkpoints: store,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, lanesMax: 1,
      key: \.stream.id, begins: { $0.stream.category == "beginnings" },
      handle: { event in
        await gate.pass()
        try handled.take(event)
      })
    try await append("a", category: "beginnings")
    try await append("b", category: "beginnings")
    try await append("c", category: "beginnings")
    try await append("d")
    try await running(subscription) {
      try await eventually { subscription.progress.outstanding == 4 }
      #expect(subscription.beginnings == (begun: 1, waiting: 2))
      gate.open()
      try await eventually { subscription.progress.checkpoint == Position(4) }
      #expect(subscription.beginnings == (begun: 3, waiting: 0))
    }
    #expect(handled.events.map(\.stream.id) == ["a", "d", "b", "c"])
  }
}

/// Holds everybody back until it is opened.
private final class Gate: Sendable {
  private let isOpen = Mutex(false)

  func open() { isOpen.withLock { $0 = true } }

  func pass() async {
    while !isOpen.withLock({ $0 }) { try? await Task.sleep(for: .milliseconds(1)) }
  }
}
