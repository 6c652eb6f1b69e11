import MongoTesting
import PaymentProvider
import Testing

@Suite("Ledgers")
struct LedgerTests {
  @Test("the ledger in memory keeps its promises", arguments: LedgerConformance.checks)
  func inMemory(_ check: LedgerConformance.Check) async throws {
    try await check.run(InMemoryLedger())
  }

  @Test("the ledger on MongoDB keeps its promises", arguments: LedgerConformance.checks)
  func onMongoDB(_ check: LedgerConformance.Check) async throws {
    let ledger = MongoLedger(database: try await TestMongod.shared.database())
    try await ledger.prepare()
    try await check.run(ledger)
  }
}
