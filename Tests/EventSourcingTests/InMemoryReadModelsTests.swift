import EventSourcing
import EventSourcingTesting
import Testing

@Suite("The read models in memory")
struct InMemoryReadModelsTests {
  @Test("keep every promise of the store", arguments: ReadModelConformance.checks)
  func conforms(_ check: ReadModelConformance.Check) async throws {
    try await check.run(InMemoryReadModels())
  }
}
