import EventSourcing
import EventSourcingMongo
import EventSourcingTesting
import MongoTesting
import Testing

@Suite("The read models on MongoDB")
struct MongoReadModelsTests {
  @Test("keep every promise of the store", arguments: ReadModelConformance.checks)
  func conforms(_ check: ReadModelConformance.Check) async throws {
    try await check.run(MongoReadModels(try await TestMongod.shared.database()))
  }
}
