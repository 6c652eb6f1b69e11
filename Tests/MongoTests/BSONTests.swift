import Mongo
import MongoTesting
import Testing

@Suite("BSON")
struct BSONTests {
  @Test("what is written is read back exactly")
  func roundTrip() {
    let document = BSONDocument { writer in
      writer.append("text", "a\u{0}b")
      writer.append("long", Int64.min)
      writer.append("int", int32: -7)
      writer.append("yes", true)
      writer.append("at", millisecondsSinceEpoch: 1_700_000_000_123)
      writer.append("amount", unscaled: -19_999, scale: 2)
      writer.appendNull("nothing")
      writer.appendDocument("inner") { $0.append("n", Int64(1)) }
      writer.appendArray("list") { array in
        array.append("x")
        array.append("y")
      }
    }
    document.withView { view in
      #expect(view["text"]?.string == "a\u{0}b")
      #expect(view["long"]?.integer == Int64.min)
      #expect(view["int"]?.integer == -7)
      #expect(view["yes"]?.bool == true)
      #expect(view["inner"]?.document?["n"]?.integer == 1)
      let list = try? view["list"]?.array?.elements().compactMap(\.string)
      #expect(list == ["x", "y"])
      guard case .decimal(unscaled: -19_999, scale: 2)? = view["amount"] else {
        Issue.record("the amount came back as another number")
        return
      }
      guard case .dateTime(1_700_000_000_123)? = view["at"] else {
        Issue.record("the time came back as another one")
        return
      }
    }
  }

  @Test("a key with a NUL makes a document unusable")
  func nulInKey() {
    #expect(!BSONDocument { $0.append("a\u{0}b", "x") }.isValid)
    #expect(BSONDocument { $0.append("ab", "x") }.isValid)
  }

  @Test("bytes that are not BSON are an error, never a crash", arguments: 0..<60)
  func malformed(_ cut: Int) {
    let whole = BSONDocument { writer in
      writer.append("text", "hello")
      writer.append("long", Int64(5))
      writer.appendDocument("inner") { $0.append("n", Int64(1)) }
    }.bytes
    guard cut < whole.count else { return }
    #expect(throws: (any Error).self) {
      try BSONDocument(bytes: Array(whole[..<cut])).withView { view in
        try view.visit { _, _ in true }
      }
    }
  }
}

@Suite("The MongoDB wrapper")
struct MongoDatabaseTests {
  @Test("a cursor gives every document, batch by batch")
  func cursor() async throws {
    let database = try await TestMongod.shared.database()
    let documents = (1...2500).map { number in
      BSONDocument { $0.append("_id", Int64(number)) }
    }
    let reply = try await database.withConnection { try $0.insertMany(documents, into: "numbers") }
    #expect(reply.insertedCount == 2500)
    var sum: Int64 = 0
    for try await number in database.find(
      BSONDocument(), in: "numbers", batch: 300, decode: { $0["_id"]?.integer ?? 0 })
    {
      sum += number
    }
    #expect(sum == 2500 * 2501 / 2)
  }

  @Test("an ordered insert stops at the first duplicate and says where and why")
  func duplicate() async throws {
    let database = try await TestMongod.shared.database()
    let documents = [1, 2, 2, 3].map { number in
      BSONDocument { $0.append("_id", Int64(number)) }
    }
    let reply = try await database.withConnection { try $0.insertMany(documents, into: "numbers") }
    #expect(reply.insertedCount == 2)
    #expect(reply.writeErrors.first?.index == 2)
    #expect(reply.writeErrors.first?.isDuplicateKey == true)
    #expect(reply.writeErrors.first?.keyPattern == ["_id"])
    #expect(throws: MongoError.self) { try reply.check(operation: "insert") }
  }

  @Test("no server: nothing was sent, and the error says so")
  func noServer() async throws {
    let database = try MongoDatabase(
      MongoURI("mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=300"))
    do {
      _ = try await database.withConnection {
        try $0.insertMany([BSONDocument()], into: "x").check(operation: "insert")
      }
      Issue.record("an insert without a server succeeded")
    } catch let error as MongoError {
      #expect(error.domain == .notSent)
      #expect(!error.isOutcomeUnknown)
    }
  }

  @Test("more callers than connections take turns")
  func poolIsBounded() async throws {
    let database = try await TestMongod.shared.database(2)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          _ = try await database.withConnection {
            try $0.serverCommand(
              BSONDocument { $0.append("ping", int32: 1) }, operation: "ping")
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
