import EventSourcing
import EventSourcingMongo
import EventSourcingTesting
import Logging
import Mongo
import MongoTesting
import Testing

/// The texts of all events of a stream.
private struct Texts: SnapshottingFold {
  var texts: [Value] = []

  let snapshotSchema: Int? = 1
  var snapshot: Fields { ["texts": .array(texts)] }
  mutating func restore(_ snapshot: Fields) throws { texts = try snapshot.array("texts") }
  mutating func apply(_ event: Recorded) throws { texts.append(try event.data.value("text")) }
}

@Suite("Snapshots in MongoDB")
struct MongoSnapshotsTests {
  private static let stream = StreamName(category: "things", id: "a")

  @Test("keep every promise", arguments: SnapshotConformance.checks)
  func conforms(_ check: SnapshotConformance.Check) async throws {
    try await check.run(MongoSnapshots(try await TestMongod.shared.database()))
  }

  @Test("a document of another shape is none, and keeps no good one out")
  func otherShapes() async throws {
    let database = try await TestMongod.shared.database()
    let store = MongoSnapshots(database)
    let good = SnapshotConformance.snapshot(Self.stream, at: 7)
    let damages: [@Sendable (inout BSONWriter) -> Void] = [
      { $0.append("state", "x") }, { $0.append("version", "many") }, { $0.append("event_id", "x") },
      { $0.appendNull("state") }, { $0.append("schema", "x") },
      { $0.appendDocument("state") { $0.append("total", binary: [1].span) } },
    ]
    for damage in damages {
      _ = try await store.save(good)
      try await database.withConnection { connection in
        let update = BSONDocument { $0.appendDocument("$set", damage) }
        try connection.write(
          [
            .update(
              filter: BSONDocument { $0.append("_id", "things/a") }, with: update, upsert: false)
          ], to: "snapshots"
        ).check(operation: "damage")
      }
      #expect(try await store.snapshot(of: Self.stream) == nil)
      #expect(try await store.save(SnapshotConformance.snapshot(Self.stream, at: 3)))
      try await store.removeAll()
    }
  }

  @Test("a state that no document can hold is refused, and what is there stays")
  func tooLarge() async throws {
    let store = MongoSnapshots(try await TestMongod.shared.database())
    let good = SnapshotConformance.snapshot(Self.stream, at: 7)
    _ = try await store.save(good)
    let large = SnapshotConformance.snapshot(
      Self.stream, at: 8, state: ["text": .string(String(repeating: "x", count: 16 << 20))])
    await #expect(throws: SnapshotTooLarge.self) { try await store.save(large) }
    #expect(try await store.snapshot(of: Self.stream) == good)
  }

  @Test("one of a log that lost its end and has grown anew is not believed")
  func regrownLog() async throws {
    let stored = try await StoredLog.filled()
    let store = MongoSnapshots(stored.database)
    let stream = StreamName(category: "things", id: "a")
    let taken = try #require(
      try await Snapshots(log: try await stored.open(), store: store)
        .take(of: stream, with: Texts()))
    try await stored.damage { $0.removeLast(12) }
    let log = try await stored.open()
    let cut = try await log.version(of: stream)
    #expect(cut < taken.version)
    for number in 0..<20 {
      _ = try await store.save(Snapshot(header: taken, state: ["texts": ["wrong"]]))
      let fold = try await Snapshots(log: log, store: store).fold(stream, with: Texts())
      let full = try await Snapshots(log: log, store: nil).fold(stream, with: Texts())
      #expect(fold?.fold.texts == full?.fold.texts, "after \(number) events")
      try await log.append(
        ProposedCommit(
          context: CommitContext(commandID: .random(), timestamp: .now, serviceName: "test"),
          events: [
            ProposedEvent(
              stream: stream, type: "ThingHappened", data: ["text": .string("new \(number)")])
          ]))
    }
  }

  @Test("processes that take them at once leave the latest")
  func severalProcesses() async throws {
    let uri = try await TestMongod.shared.uri()
    let stores = try (0..<3).map { _ in
      MongoSnapshots(try MongoDatabase(uri, waitMax: .seconds(20)))
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (number, store) in stores.enumerated() {
        group.addTask {
          for step in Int64(0)..<20 {
            let version = 3 * step + Int64(number) + 1
            _ = try await store.save(SnapshotConformance.snapshot(Self.stream, at: version))
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await stores[0].snapshot(of: Self.stream)?.header.version == Version(60))
  }
}
