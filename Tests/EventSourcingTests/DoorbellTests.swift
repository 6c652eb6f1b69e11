import EventSourcing
import Testing

@Suite("The doorbell")
struct DoorbellTests {
  private let doorbell = Doorbell()

  @Test("nobody waits for what was rung already")
  func rung() async {
    doorbell.ring(Position(5))
    await doorbell.wait(after: Position(4), timeout: .seconds(600))
  }

  @Test("a ring wakes all who wait, long before their time is over", .timeLimit(.minutes(1)))
  func ring() async {
    await withDiscardingTaskGroup { group in
      for _ in 0..<100 {
        group.addTask { await doorbell.wait(after: .start, timeout: .seconds(600)) }
      }
      group.addTask {
        try? await Task.sleep(for: .milliseconds(20))
        doorbell.ring(Position(1))
      }
    }
  }

  @Test("a ring for what somebody has read already does not wake him", .timeLimit(.minutes(1)))
  func readAlready() async {
    let begun = ContinuousClock.now
    async let waiting: Void = doorbell.wait(after: Position(7), timeout: .milliseconds(200))
    for position in 1...7 {
      try? await Task.sleep(for: .milliseconds(5))
      doorbell.ring(Position(Int64(position)))
    }
    await waiting
    #expect(.now - begun >= .milliseconds(200))
  }

  @Test("each waits no longer than its own time", .timeLimit(.minutes(1)))
  func timeouts() async {
    let begun = ContinuousClock.now
    async let long: Void = doorbell.wait(after: .start, timeout: .milliseconds(200))
    await doorbell.wait(after: .start, timeout: .milliseconds(20))
    #expect(.now - begun >= .milliseconds(20))
    await long
    #expect(.now - begun >= .milliseconds(200))
    await doorbell.wait(after: .start, timeout: .milliseconds(20))
  }

  @Test("it is watched for as long as whoever watches it has said, and not when he has gone")
  func watched() async throws {
    #expect(!doorbell.isWatched)
    doorbell.watch(for: .seconds(600))
    #expect(doorbell.isWatched)
    doorbell.watch(for: .milliseconds(1))
    try await Task.sleep(for: .milliseconds(5))
    #expect(!doorbell.isWatched)
    doorbell.watch(for: .seconds(600))
    doorbell.watch(for: nil)
    #expect(!doorbell.isWatched)
  }

  @Test("who is cancelled is let go", .timeLimit(.minutes(1)))
  func cancelled() async {
    let task = Task { await doorbell.wait(after: .start, timeout: .seconds(600)) }
    try? await Task.sleep(for: .milliseconds(20))
    task.cancel()
    await task.value
  }
}
