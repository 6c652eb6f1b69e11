import EventSourcing
import EventSourcingMongo
import EventSourcingTesting
import Foundation
import Mongo
import MongoTesting
import Testing

@Suite("The read models on MongoDB")
struct MongoReadModelsTests {
  @Test("keep every promise of the store", arguments: ReadModelConformance.checks)
  func conforms(_ check: ReadModelConformance.Check) async throws {
    try await check.run(MongoReadModels(try await TestMongod.shared.database()))
  }

  @Test("a transaction whose process stands still keeps nobody from taking over")
  func abandonedTransaction() async throws {
    let database = try await TestMongod.shared.database()
    let store = MongoReadModels(database)
    let old = try #require(
      try await store.acquire("orders", version: 1, owner: "old", for: .zero, .whenFree))
    let begun = AsyncStream.makeStream(of: Void.self)
    let paused = Task {
      try await database.withConnection { connection in
        try connection.transaction {
          let move = BSONDocument { writer in
            writer.appendDocument("$set") { $0.append("position", Int64(7)) }
          }
          let filter = BSONDocument { $0.append("_id", "orders") }
          let written = try connection.write(
            [.update(filter: filter, with: move, upsert: false)], to: "projections")
          try written.check(operation: "move")
          begun.continuation.finish()
          Thread.sleep(forTimeInterval: 5)
          return true
        }
      }
    }
    for await _ in begun.stream {}
    let new = try #require(
      try await store.acquire("orders", version: 1, owner: "new", for: .seconds(60), .whenFree))
    #expect(new.lease.token > old.lease.token && new.progress.position == .start)
    await #expect(throws: MongoError.self) { try await paused.value }
    #expect(try await store.progress(of: "orders")?.position == .start)
  }
}
