import EventSourcing
import EventSourcingTesting
import Testing

@Suite("The log in memory")
struct InMemoryLogTests {
  @Test("keeps every promise of the log", arguments: LogConformance.checks)
  func conforms(_ check: LogConformance.Check) async throws {
    try await check.run(InMemoryLog())
  }
}
