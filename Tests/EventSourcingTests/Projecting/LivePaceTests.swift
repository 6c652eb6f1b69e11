import Testing

@testable import EventSourcing

@Suite("A rebuild beside rows that are driven")
struct LivePaceTests {
  private let log = InMemoryLog()
  private let store = InMemoryReadModels()

  /// What a rebuild does between two pauses.
  private func work(for time: Duration = .milliseconds(60)) async throws {
    try await Task.sleep(for: time)
  }

  private func append() async throws {
    try await log.append(
      ProposedCommit(
        context: CommitContext(commandID: .random(), timestamp: .now, serviceName: "test"),
        events: [
          ProposedEvent(
            stream: StreamName(category: "things", id: "a"), type: "Done", data: Fields())
        ]))
  }

  private func lease() async throws -> LeasedProgress {
    try #require(
      try await store.acquire("tallies", version: 1, owner: "driver", for: .seconds(600), .whenFree)
    )
  }

  @Test("waits until they have come to where the log ended, and not for ever")
  func waits() async throws {
    let leased = try await lease()
    try await append()
    var pace = LivePace(of: "tallies", log: log, store: store)
    try await work()
    try await pace.giveWay()
    // Nobody brings them on: a quarter of the time is the rebuild's.
    let start = ContinuousClock.now
    try await work()
    let worked = start.duration(to: .now)
    try await pace.giveWay()
    #expect(start.duration(to: .now) >= worked * 3)

    var progress = leased.progress
    progress.position = try await log.head()
    let driven = progress
    // It waits for three times as long.
    try await work(for: .seconds(2))
    let driving = Task {
      try await Task.sleep(for: .milliseconds(20))
      return try await store.save(driven, holding: leased.lease, for: .seconds(600))
    }
    try await pace.giveWay()
    #expect(try await store.progress(of: "tallies")?.position == driven.position)
    #expect(try await driving.value == .held)
  }

  @Test("does not wait for who has stopped")
  func stopped() async throws {
    let leased = try await lease()
    try await append()
    var progress = leased.progress
    progress.failure = "cannot"
    #expect(try await store.save(progress, holding: leased.lease, for: .seconds(600)) == .held)
    var pace = LivePace(of: "tallies", log: log, store: store)
    for _ in 0..<2 {
      try await work(for: .milliseconds(500))
      let start = ContinuousClock.now
      try await pace.giveWay()
      #expect(start.duration(to: .now) < .milliseconds(1500))
    }
  }
}
