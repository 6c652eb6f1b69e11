import EventSourcing
import EventSourcingTesting
import Testing

@Suite("Projections in memory")
struct ProjectionTests {
  @Test("keep every promise", arguments: ProjectionConformance.checks)
  func conforms(_ check: ProjectionConformance.Check) async throws {
    try await check.run(InMemoryLog(), InMemoryReadModels())
  }
}
