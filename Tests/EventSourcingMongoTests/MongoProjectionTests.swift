import EventSourcing
import EventSourcingMongo
import EventSourcingTesting
import Logging
import MongoTesting
import Testing

@Suite("Projections on MongoDB", .serialized)
struct MongoProjectionTests {
  @Test("keep every promise", arguments: ProjectionConformance.checks)
  func conforms(_ check: ProjectionConformance.Check) async throws {
    let database = try await TestMongod.shared.database()
    let log = try await MongoLog.open(database, logger: Logger(label: "test"))
    try await check.run(log, MongoReadModels(database))
  }
}
