import EventSourcing
import Foundation
import Logging
import Mongo
import MongoTesting

@testable import EventSourcingMongo

/// A log whose stored documents a test may write anew, as somebody with access to the database can.
struct StoredLog {
  let database: MongoDatabase

  /// Events of each commit. Events go to the streams a, b and c in turn.
  static let sizes = [1, 3, 1, 2, 5, 1, 4, 1, 1, 2, 3, 1, 1, 1, 6, 1, 2, 1, 1, 1]

  static func empty() async throws -> StoredLog {
    StoredLog(database: try await TestMongod.shared.database())
  }

  /// A log of ``sizes``; the data of every event names its place: `commit 3 event 0`.
  static func filled() async throws -> StoredLog {
    let stored = try await empty()
    let log = try await stored.open()
    var event = 0
    for (index, size) in sizes.enumerated() {
      let events = (0..<size).map { place in
        defer { event += 1 }
        return ProposedEvent(
          stream: StreamName(category: "things", id: ["a", "b", "c"][event % 3]),
          type: "ThingHappened",
          data: ["text": .string("commit \(index) event \(place)"), "n": .integer(Int64(event))])
      }
      try await log.append(
        ProposedCommit(
          context: CommitContext(commandID: .random(), timestamp: .now, serviceName: "test"),
          events: events))
    }
    return stored
  }

  func open() async throws -> MongoLog {
    try await MongoLog.open(
      database, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// The position of a commit of ``filled()``.
  static func position(ofCommit index: Int) -> Position {
    Position(Int64(sizes[..<index].reduce(1, +)))
  }

  static var end: Position { Position(Int64(sizes.reduce(0, +))) }

  func documents() async throws -> [BSONDocument] {
    try await database.withConnection { connection in
      try connection.find(
        BSONDocument(), in: LogCollection.name, options: LogCollection.options(sort: 1)
      ) { $0.copied }
    }
  }

  /// Writes the whole collection anew, without its indexes.
  func write(_ documents: [BSONDocument]) async throws {
    try await database.withConnection { connection in
      do {
        try connection.writeCommand(
          BSONDocument { $0.append("drop", LogCollection.name) }, operation: "drop the log")
      } catch let error as MongoError where error.code == 26 {}  // There is none.
      guard !documents.isEmpty else { return }
      try connection.insertMany(documents, into: LogCollection.name).check(operation: "damage")
    }
  }

  func damage(_ change: (inout [BSONDocument]) -> Void) async throws {
    var documents = try await documents()
    change(&documents)
    try await write(documents)
  }
}

extension BSONDocument {
  /// Changes bytes that come right after some others, such as the value after its key.
  func changing(
    after text: String, skipping: Int = 0, _ change: (inout ArraySlice<UInt8>) -> Void
  ) -> BSONDocument {
    var bytes = bytes
    let pattern = Array(text.utf8)
    guard let range = bytes.firstRange(of: pattern) else { return self }
    change(&bytes[(range.upperBound + skipping)...])
    return BSONDocument(bytes: bytes)
  }

  func flippingByte(after text: String, skipping: Int = 0) -> BSONDocument {
    changing(after: text, skipping: skipping) { $0[$0.startIndex] ^= 1 }
  }

  func settingInteger(_ key: String, _ value: Int64) -> BSONDocument {
    changing(after: key + "\0") { rest in
      withUnsafeBytes(of: value.littleEndian) {
        rest.replaceSubrange(rest.startIndex..<rest.startIndex + 8, with: $0)
      }
    }
  }

  /// The 16 bytes of a UUID.
  func uuid(_ key: String) -> [UInt8] {
    var found: [UInt8] = []
    _ = changing(after: key + "\0", skipping: 5) { found = Array($0.prefix(16)) }
    return found
  }

  func settingUUID(_ key: String, _ uuid: [UInt8]) -> BSONDocument {
    changing(after: key + "\0", skipping: 5) {
      $0.replaceSubrange($0.startIndex..<$0.startIndex + 16, with: uuid)
    }
  }

  /// The last 32 bytes but one.
  var hash: [UInt8] { bytes.suffix(33).dropLast() }

  var position: Int64 { withView { $0["_id"]?.integer } ?? 0 }
}

extension [BSONDocument] {
  /// Computes the hashes of some commits anew, as somebody would who wants to hide an edit.
  mutating func chainAnew(_ range: some RangeExpression<Int>) {
    for index in range.relative(to: self) {
      let previous = index == 0 ? ChainHash.none : ChainHash(self[index - 1].hash)
      let hash = self[index].withView {
        StoredCommit.digest(of: $0.bytes, chainedTo: previous).withUnsafeBytes { [UInt8]($0) }
      }
      var bytes = self[index].bytes
      bytes.replaceSubrange(bytes.count - 33..<bytes.count - 1, with: hash)
      self[index] = BSONDocument(bytes: bytes)
    }
  }
}
