import EventSourcing
import Foundation
import Mongo
import MongoTesting
import Testing

@testable import EventSourcingMongo

@Suite("The verifier")
struct LogVerifierTests {
  /// One change to the stored log and what must be said of it.
  struct Damage: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// The commit, and the event in it, that is named.
    var commit: Int
    var event = 0
    var kinds: [LogFault.Kind]
    var change: @Sendable (inout [BSONDocument]) -> Void
  }

  static let damages = [
    Damage(testDescription: "a byte of an event's data", commit: 4, kinds: [.chain]) {
      $0[4] = $0[4].flippingByte(after: "commit 4 event ")
    },
    Damage(testDescription: "a byte of a hash", commit: 6, kinds: [.chain]) {
      $0[6] = $0[6].flippingByte(after: "hash\0", skipping: 9)
    },
    Damage(testDescription: "a byte of the first commit's hash", commit: 0, kinds: [.chain]) {
      $0[0] = $0[0].flippingByte(after: "hash\0", skipping: 9)
    },
    Damage(testDescription: "the first commit is gone", commit: 0, kinds: [.order]) {
      $0.removeFirst()
    },
    Damage(testDescription: "a commit in the middle is gone", commit: 9, kinds: [.order]) {
      $0.remove(at: 9)
    },
    Damage(testDescription: "many commits are gone", commit: 2, kinds: [.order]) {
      $0.removeSubrange(2..<16)
    },
    Damage(testDescription: "two commits have changed places", commit: 11, kinds: [.chain]) {
      let (one, other) = ($0[11], $0[13])
      $0[11] = other.settingInteger("_id", one.position)
      $0[13] = one.settingInteger("_id", other.position)
    },
    Damage(testDescription: "a commit overlaps", commit: 4, event: 1, kinds: [.order]) {
      $0[5] = $0[5].settingInteger("_id", $0[4].position + 1)
    },
    Damage(
      testDescription: "a version, without the hash", commit: 8, kinds: [.chain, .version]
    ) {
      $0[8] = $0[8].settingInteger("version", 99)
    },
    Damage(testDescription: "a version, all hashes anew", commit: 8, kinds: [.version]) {
      $0[8] = $0[8].settingInteger("version", 99)
      $0.chainAnew(8...)
    },
    Damage(
      testDescription: "a later event's version, all hashes anew", commit: 4, event: 4,
      kinds: [.version]
    ) {
      $0[4] = $0[4].changing(after: "commit 4 event 3") { rest in
        let tail = BSONDocument(bytes: Array(rest)).settingInteger("version", 1)
        rest.replaceSubrange(rest.startIndex..<rest.endIndex, with: tail.bytes)
      }
      $0.chainAnew(4...)
    },
    Damage(
      testDescription: "a command id, without the hash", commit: 12, kinds: [.chain, .command]
    ) {
      $0[12] = $0[12].settingUUID("command_id", $0[3].uuid("command_id"))
    },
    Damage(testDescription: "a command id, all hashes anew", commit: 12, kinds: [.command]) {
      $0[12] = $0[12].settingUUID("command_id", $0[3].uuid("command_id"))
      $0.chainAnew(12...)
    },
    Damage(testDescription: "an edit with its own hash anew", commit: 15, kinds: [.chain]) {
      $0[14] = $0[14].flippingByte(after: "commit 14 event ")
      $0.chainAnew(14...14)
    },
    Damage(testDescription: "a field is gone, all hashes anew", commit: 7, kinds: [.shape]) {
      $0[7] = $0[7].flippingByte(after: "timestam")
      $0.chainAnew(7...)
    },
    Damage(testDescription: "text that is not UTF-8, all hashes anew", commit: 7, kinds: [.shape]) {
      $0[7] = $0[7].changing(after: "commit 7 event ") { $0[$0.startIndex] = 0xFF }
      $0.chainAnew(7...)
    },
    Damage(testDescription: "the second of two", commit: 3, kinds: [.chain]) {
      $0[17] = $0[17].flippingByte(after: "commit 17 event ")
      $0[3] = $0[3].flippingByte(after: "commit 3 event ")
    },
  ]

  /// Connections, positions in a range (commits have up to 6 events), traces held in memory.
  static let ways = [
    (1, 1_000_000, 1_000_000), (1, 1, 1_000_000), (2, 3, 1_000_000), (3, 7, 5), (4, 2, 1),
  ]

  private func verifier(_ stored: StoredLog, _ way: (Int, Int, Int) = ways[0]) -> LogVerifier {
    LogVerifier(
      stored.database, connections: way.0, rangeLength: way.1, tracesHeldMax: way.2,
      stateInterval: .zero)
  }

  @Test("finds a log clean, in every way of going through it")
  func clean() async throws {
    let stored = try await StoredLog.filled()
    let head = try await stored.documents().last?.hash
    for way in Self.ways {
      let report = try await verifier(stored, way).verify()
      #expect(report.faults == [])
      #expect(report.corruption == nil)
      #expect(report.commits == Int64(StoredLog.sizes.count))
      #expect(report.events == StoredLog.end.rawValue)
      #expect(report.head == Hexadecimal.text(head ?? []))
    }
    let nothing = try await verifier(try await StoredLog.empty()).verify()
    #expect(nothing.faults == [])
    #expect(nothing.commits == 0)
    #expect(nothing.events == 0)
  }

  @Test("names the first fault, in every way of going through the log", arguments: damages)
  func finds(_ damage: Damage) async throws {
    let stored = try await StoredLog.filled()
    try await stored.damage(damage.change)
    let sequential = try await verifier(stored).verify().faults
    let position = StoredLog.position(ofCommit: damage.commit) + damage.event
    #expect(sequential.map(\.position) == damage.kinds.map { _ in position })
    #expect(sequential.map(\.kind) == damage.kinds)
    for way in Self.ways.dropFirst() {
      #expect(try await verifier(stored, way).verify().faults == sequential)
    }
  }

  @Test("says what is wrong in words")
  func words() async throws {
    let stored = try await StoredLog.filled()
    try await stored.damage {
      $0[8] = $0[8].settingInteger("version", 99).settingUUID(
        "command_id", $0[3].uuid("command_id"))
      $0.chainAnew(8...)
    }
    let reason = try #require(try await verifier(stored).verify().corruption?.reason)
    #expect(reason.contains("stream things/a has version 99 where 7 belongs"))
    #expect(reason.contains("the first is at position \(StoredLog.position(ofCommit: 3))"))
  }

  @Test("finds documents that are in no range of positions")
  func strays() async throws {
    let stored = try await StoredLog.filled()
    let end = StoredLog.end
    for (id, expected) in [
      (BSONDocument { $0.append("_id", "x") }, end + 1),
      (BSONDocument { $0.appendNull("_id") }, Position(1)),
      (BSONDocument { $0.append("_id", Int64(-5)) }, Position(1)),
      (BSONDocument { $0.append("_id", unscaled: 65, scale: 1) }, Position(8)),
    ] {
      let intact = try await stored.documents()
      try await stored.damage { $0.append(id) }
      for way in Self.ways {
        let faults = try await verifier(stored, way).verify().faults
        #expect(faults.map(\.position) == [expected], "\(faults)")
        #expect(faults.first.map { [.shape, .order].contains($0.kind) } == true)
      }
      try await stored.write(intact)
    }
  }

  @Test("an exported head shows a cut tail and a log written anew")
  func heads() async throws {
    let stored = try await StoredLog.filled()
    let intact = try await stored.documents()
    let report = try await verifier(stored).verify()
    let exported = ExportedHead(
      position: StoredLog.end, hash: report.head, commits: report.commits, time: .now)
    let head = try ExportedHead(try JSONReader.value(from: JSONWriter.bytes(exported.value)))
    #expect(try await verifier(stored).verify(against: head).faults == [])

    try await stored.damage { $0.removeLast(3) }
    #expect(try await verifier(stored).verify().faults == [])
    let cut = try await verifier(stored).verify(against: head).faults
    #expect(cut.map(\.kind) == [.head])
    #expect(cut.map(\.position) == [StoredLog.position(ofCommit: 17)])

    try await stored.write([])
    let empty = try await verifier(stored).verify(against: head).faults
    #expect(empty.map(\.position) == [Position(1)])

    try await stored.write(intact)
    try await stored.damage {
      $0[2] = $0[2].flippingByte(after: "commit 2 event ")
      $0.chainAnew(2...)
    }
    #expect(try await verifier(stored).verify().faults == [])
    let anew = try await verifier(stored).verify(against: head).faults
    #expect(anew.map(\.kind) == [.head])
    #expect(anew.map(\.position) == [StoredLog.end])

    try await stored.write(intact)
    try await stored.open().append(
      ProposedCommit(
        context: CommitContext(commandID: .random(), timestamp: .now, serviceName: "test"),
        events: [
          ProposedEvent(
            stream: StreamName(category: "things", id: "a"), type: "ThingHappened", data: [:])
        ]))
    #expect(try await verifier(stored).verify(against: head).faults == [])
  }

  /// Stops a verification at `position`, its state on disk.
  private func interrupt(_ stored: StoredLog, at position: Position, state: String) async throws {
    let verifier = verifier(stored, (2, 4, 8))
    let task = Task {
      _ = try await verifier.verify(keepingStateIn: state) { progress in
        if progress.position >= position { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(FileManager.default.fileExists(atPath: state))
  }

  private func withState(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "state-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try await body(folder.appending(path: "state").path)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    try FileManager.default.removeItem(at: folder)
  }

  @Test("goes on where it stood, and knows what it saw before")
  func resume() async throws {
    let stored = try await StoredLog.filled()
    try await withState { state in
      try await interrupt(stored, at: Position(12), state: state)
      var first: Position?
      let report = try await verifier(stored, (2, 4, 8)).verify(keepingStateIn: state) {
        first = first ?? $0.position
      }
      #expect(first == Position(16))
      #expect(report.faults == [])
      #expect(report.commits == Int64(StoredLog.sizes.count))
      #expect(report.events == StoredLog.end.rawValue)
    }
    try await stored.damage {
      $0[12] = $0[12].settingUUID("command_id", $0[3].uuid("command_id"))
      $0.chainAnew(12...)
    }
    try await withState { state in
      for stop in [4, 12, 20] {
        try await interrupt(stored, at: Position(Int64(stop)), state: state)
      }
      let faults = try await verifier(stored, (2, 4, 8)).verify(keepingStateIn: state).faults
      #expect(faults == (try await verifier(stored).verify().faults))
      #expect(faults.map(\.kind) == [.command])
    }
  }

  @Test("refuses a state that is of another log, or is no state")
  func foreignState() async throws {
    let stored = try await StoredLog.filled()
    let other = try await StoredLog.filled()
    try await withState { state in
      try await interrupt(stored, at: Position(12), state: state)
      await #expect(throws: LogFileError.self) {
        try await verifier(other).verify(keepingStateIn: state)
      }
      try Data("{}".utf8).write(to: URL(filePath: state))
      await #expect(throws: LogFileError.self) {
        try await verifier(stored).verify(keepingStateIn: state)
      }
      try FileManager.default.removeItem(atPath: state)
      #expect(try await verifier(stored).verify(keepingStateIn: state).faults == [])
    }
  }
}
