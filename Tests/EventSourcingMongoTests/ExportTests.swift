import EventSourcing
import Foundation
import Mongo
import MongoTesting
import Testing

@testable import EventSourcingMongo

@Suite("Export and import")
struct ExportTests {
  private static let odd: Fields = [
    "": "an empty key", "empty": "", "nothing": nil, "no": false, "yes": true,
    "least": .integer(.min), "most": .integer(.max), "zero": 0,
    "price": .decimal(FixedDecimal(unscaled: 19_990, scale: 2)),
    "whole": .decimal(FixedDecimal(unscaled: 5, scale: 0)),
    "negative": .decimal(FixedDecimal(unscaled: -5, scale: 3)),
    "naught": .decimal(FixedDecimal(unscaled: 0, scale: 2)),
    "longest": .decimal(FixedDecimal(unscaled: -.max, scale: 18)),
    "lowest": .decimal(FixedDecimal(unscaled: .min, scale: 3)),
    "lowestWhole": .decimal(FixedDecimal(unscaled: .min, scale: 0)),
    "highest": .decimal(FixedDecimal(unscaled: .max, scale: 18)),
    "text": "Benoît \u{1F6D2} \u{2028} \"quoted\" \\ / \u{0}\u{1}\u{1F}\u{7F}\r\n\tend",
    "$int32": "a key like a mark", "$$": ["$date": 5, "other": []], "dotted.key": [:],
    "list": [nil, [], [[1], [:]], "x", .decimal(FixedDecimal(unscaled: 1, scale: 1))],
    "deep": nested(60),
  ]

  private static func nested(_ depth: Int) -> Value {
    depth == 0 ? ["end": 1] : ["in": [nested(depth - 1)]]
  }

  /// A log with everything that events may hold.
  private func oddLog() async throws -> StoredLog {
    let stored = try await StoredLog.filled()
    let log = try await stored.open()
    let stream = StreamName(category: "odd", id: "one")
    for causation in [nil, UUID()] {
      let context = CommitContext(
        commandID: .random(), fingerprint: causation.map { "print of \($0)" },
        correlationID: UUID(), causationID: causation,
        timestamp: Timestamp(millisecondsSinceEpoch: causation == nil ? -1 : 1_767_225_600_123),
        serviceName: causation == nil ? "" : "le magasin é", metadata: Self.odd)
      try await log.append(
        ProposedCommit(
          context: context,
          events: [Self.odd, [:], ["n": 1]].map {
            ProposedEvent(stream: stream, type: "OddThing", schema: 7, data: $0)
          }))
    }
    return stored
  }

  private func lines(
    _ stored: StoredLog, _ format: LogFormat, after: Position = .start
  ) async throws -> [[UInt8]] {
    var output: [UInt8] = []
    _ = try await LogExporter(stored.database).export(format, after: after) { output += $0 }
    return output.split(separator: UInt8(ascii: "\n")).map(Array.init)
  }

  @discardableResult
  private func importing(
    _ lines: [[UInt8]], into stored: StoredLog
  ) async throws -> LogImporter.Summary {
    var importer = try await LogImporter(into: stored.database)
    for line in lines { try await importer.add(line: line) }
    return try await importer.finish()
  }

  @Test("an imported log is the exported one, byte for byte", arguments: LogFormat.allCases)
  func roundTrip(_ format: LogFormat) async throws {
    let source = try await oddLog()
    let documents = try await source.documents()
    let exported = try await lines(source, format)
    let target = try await StoredLog.empty()
    let summary = try await importing(exported, into: target)
    #expect(try await target.documents() == documents)
    #expect(summary.commits == Int64(documents.count))
    #expect(summary.known == 0)
    #expect(try await lines(target, format) == exported)
    let report = try await LogVerifier(target.database).verify()
    #expect(report.faults == [])
    #expect(report.head == summary.hash)

    // The log goes on as the source would, and its indexes are there.
    let log = try await target.open()
    let first = try #require(try await log.read(after: .start, limit: 1).first)
    let again = try await log.append(
      ProposedCommit(
        context: first.header.context,
        events: first.events.map {
          ProposedEvent(stream: $0.stream, type: $0.type, schema: $0.schema, data: $0.data)
        }))
    #expect(again.position == first.header.lastPosition)
    #expect(try await log.head() == summary.end)
  }

  @Test("every BSON value that is stored has one JSON form")
  func exactValues() throws {
    let document = BSONDocument { writer in
      writer.append("int32", int32: -7)
      writer.append("date", millisecondsSinceEpoch: 1_767_225_600_000)
      writer.append("early", millisecondsSinceEpoch: -99_999_999_999_999)
      writer.append("late", millisecondsSinceEpoch: .max)
      writer.append("binary", binary: ([0, 1, 255] as [UInt8]).span)
      writer.append("short", uuid: ([1, 2] as [UInt8]).span)
      writer.append("uuid", uuid: UUID())
      writer.append("integer", Int64(7))
      writer.append("whole", unscaled: 7, scale: 0)
    }
    .changing(after: "whole\0", skipping: 15) { $0[$0.startIndex] |= 0x80 }  // -7
    var text: [UInt8] = []
    try document.withView { try ExactJSON.write($0.bytes, to: &text) }
    guard case .object(let fields) = try JSONReader.value(from: text) else {
      Issue.record("no object")
      return
    }
    #expect(try ExactBSON.document(fields) == document)
    #expect(fields["date"] == ["$date": "2026-01-01T00:00:00.000Z"])
    #expect(fields["whole"] == ["$decimal": "-7"])
    #expect(fields["integer"] == 7)
  }

  @Test("a CloudEvent is what the specification asks for")
  func cloudEvent() async throws {
    let source = try await oddLog()
    for line in try await lines(source, .cloudevents) {
      guard case .object(let event) = try JSONReader.value(from: line, depthMax: 200) else {
        Issue.record("no object")
        continue
      }
      #expect(event["specversion"] == "1.0")
      #expect(event["datacontenttype"] == "application/json")
      for key in ["id", "source", "type", "subject", "time"] {
        #expect(try event.string(key).isEmpty == false)
      }
      #expect(URL(string: try event.string("source")) != nil)
      #expect(Timestamp(iso8601: try event.string("time")) != nil)
      for entry in event.entries where entry.key != "data" {
        #expect(entry.key.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) })
        switch entry.value {
        case .string, .bool: break
        case .integer(let integer): #expect(Int32(exactly: integer) != nil)
        default: Issue.record("\(entry.key) is of no type that CloudEvents has")
        }
      }
    }
  }

  @Test("an import that was interrupted is run again", arguments: LogFormat.allCases)
  func importAgain(_ format: LogFormat) async throws {
    let source = try await StoredLog.filled()
    let documents = try await source.documents()
    let exported = try await lines(source, format)
    let target = try await StoredLog.empty()
    _ = try await target.open()
    try await target.write(Array(documents[..<7]))
    let summary = try await importing(exported, into: target)
    #expect(summary.known == 7)
    #expect(try await target.documents() == documents)
    #expect(try await importing(exported, into: target).known == Int64(documents.count))
  }

  @Test("a log that is another one is left alone", arguments: LogFormat.allCases)
  func otherLog(_ format: LogFormat) async throws {
    let exported = try await lines(try await StoredLog.filled(), format)
    let target = try await StoredLog.filled()
    let before = try await target.documents()
    let error = await #expect(throws: LogFileError.self) {
      try await importing(exported, into: target)
    }
    #expect(error?.description.contains("not empty") == true)
    #expect(error?.description.contains("position 1 ") == true)
    #expect(try await target.documents() == before)
  }

  @Test("an export after a position goes on where another ended")
  func continued() async throws {
    let source = try await StoredLog.filled()
    let documents = try await source.documents()
    let middle = StoredLog.position(ofCommit: 9)
    let end = Position(middle.rawValue - 1)
    let rest = try await lines(source, .jsonl, after: end)
    #expect(rest.count == documents.count - 9)
    let target = try await StoredLog.empty()
    await #expect(throws: LogFileError.self) { try await importing(rest, into: target) }
    #expect(try await target.documents() == [])
    try await importing(Array(try await lines(source, .jsonl)[..<9]), into: target)
    try await importing(rest, into: target)
    #expect(try await target.documents() == documents)
    await #expect(throws: LogFileError.self) {
      try await lines(source, .jsonl, after: Position(StoredLog.position(ofCommit: 4).rawValue))
    }
  }

  @Test("a line that is wrong is named, and nothing of its batch is written")
  func wrongLines() async throws {
    let source = try await StoredLog.filled()
    func text(_ line: [UInt8]) -> String { String(decoding: line, as: UTF8.self) }
    let commits = try await lines(source, .jsonl)
    let events = try await lines(source, .cloudevents)
    var broken: [(String, [[UInt8]])] = []
    func breaking(_ what: String, _ lines: [[UInt8]], _ change: (inout [[UInt8]]) -> Void) {
      var lines = lines
      change(&lines)
      broken.append((what, lines))
    }
    breaking("line 5: ", commits) { $0[4].removeLast() }
    breaking("line 5: ", commits) { $0[4] = [] }
    breaking("line 5: ", commits) { $0[4] = Array("[1]".utf8) }
    breaking("line 5: ", commits) {
      $0[4] = Array(text($0[4]).replacing("commit 4", with: "commit 9").utf8)
    }
    breaking("line 5: ", commits) {
      $0[4] = Array(text($0[4]).replacing("service_name", with: "service").utf8)
    }
    breaking("line 5: ", commits) {
      $0[4] = Array(text($0[4]).replacing("$uuid", with: "$uid").utf8)
    }
    breaking("line 9: position 19: ", commits.filter { !text($0).contains("commit 8 ") }) { _ in }
    breaking("line 3: ", events) { $0.remove(at: 2) }
    breaking("line 3: ", events) {
      $0[2] = Array(text($0[2]).replacing("\"metadata\":\"{}\"", with: "\"metadata\":\"[]\"").utf8)
    }
    breaking("line 4: ", events) {
      $0[3] = Array(text($0[3]).replacing("commit 1", with: "commit 2").utf8)
    }
    breaking("line 2: the file ends inside a commit", events) { $0.removeSubrange(2...) }
    for (reason, lines) in broken {
      let target = try await StoredLog.empty()
      let error = await #expect(throws: LogFileError.self) {
        try await importing(lines, into: target)
      }
      #expect(error?.description.hasPrefix(reason) == true, "\(reason) \(error as Any)")
      #expect(try await target.documents() == [])
    }
  }

  @Test("a corrupt log is not exported past its fault")
  func corruptSource() async throws {
    let source = try await StoredLog.filled()
    try await source.damage { $0[4] = $0[4].flippingByte(after: "commit 4 event ") }
    let fault = await #expect(throws: LogFault.self) { try await lines(source, .jsonl) }
    #expect(fault?.kind == .chain)
    #expect(fault?.position == StoredLog.position(ofCommit: 4))
  }
}
