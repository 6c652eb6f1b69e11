import EventSourcing
import Foundation

/// What every ``SnapshotStore`` promises, as checks that run against any empty one.
///
///     @Test(arguments: SnapshotConformance.checks)
///     func conforms(_ check: SnapshotConformance.Check) async throws { try await check.run(makeStore()) }
public enum SnapshotConformance {
  public struct Check: Sendable, CustomStringConvertible {
    public let description: String
    public let run: @Sendable (any SnapshotStore) async throws -> Void
  }

  /// A promise that a store does not keep.
  public struct Violation: Error, CustomStringConvertible {
    public let description: String
  }

  public static let checks: [Check] = [
    Check(description: "a snapshot comes back as it was saved", run: roundTrip),
    Check(description: "there is none of another stream", run: otherStream),
    Check(description: "a later one replaces an earlier one", run: laterReplaces),
    Check(description: "an earlier one, or the same again, changes nothing", run: earlierIsIgnored),
    Check(description: "one of another schema replaces any", run: otherSchema),
    Check(description: "of concurrent ones the latest stays", run: racing),
    Check(description: "only the one that was read is discarded", run: discarding),
    Check(description: "all are listed once, page by page", run: listing),
    Check(description: "after all were removed there is none", run: removing),
  ]

  /// A snapshot as it would be taken at that version.
  public static func snapshot(
    _ stream: StreamName, at version: Int64, schema: Int = 1, state: Fields = ["n": 1]
  ) -> Snapshot {
    let time = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000 + version)
    return Snapshot(
      header: Snapshot.Header(
        stream: stream, version: Version(version), position: Position(version * 10),
        eventID: CommandID(derivedFrom: "\(stream) \(version)").uuid, timestamp: time,
        latestTimestamp: time.adding(seconds: 1), schema: schema,
        takenAt: time.adding(seconds: 2)),
      state: state)
  }

  private static let stream = StreamName(category: "things", id: "a")

  private static func require(
    _ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line
  ) throws {
    if !condition { throw Violation(description: "\(message()) (check at line \(line))") }
  }

  private static func roundTrip(_ store: any SnapshotStore) async throws {
    let state: Fields = [
      "text": "caf\u{E9} \"quoted\"", "integer": .integer(.max), "negative": -5,
      "decimal": .decimal(FixedDecimal(unscaled: -19_990, scale: 2)), "bool": true, "null": nil,
      "array": [1, "two", [3]], "object": ["nested": ["deep": 1]], "empty": [:], "none": [],
      "$dollar": 1, "a.dot": ["$in": 2],
    ]
    let saved = snapshot(stream, at: 7, state: state)
    try require(try await store.save(saved), "it was not kept")
    let read = try await store.snapshot(of: stream)
    try require(read == saved, "\(String(describing: read)) instead of \(saved)")
    try require(read?.state.keys == state.keys, "the order of keys changed")
  }

  private static func otherStream(_ store: any SnapshotStore) async throws {
    _ = try await store.save(snapshot(stream, at: 7))
    for other in [
      StreamName(category: "things", id: "b"), StreamName(category: "others", id: "a"),
    ] {
      try require(try await store.snapshot(of: other) == nil, "\(other) has one")
    }
  }

  private static func laterReplaces(_ store: any SnapshotStore) async throws {
    _ = try await store.save(snapshot(stream, at: 7, state: ["old": 1]))
    let later = snapshot(stream, at: 8, state: ["new": 2])
    try require(try await store.save(later), "the later one was not kept")
    try require(try await store.snapshot(of: stream) == later, "the earlier one stayed")
  }

  private static func earlierIsIgnored(_ store: any SnapshotStore) async throws {
    let first = snapshot(stream, at: 7)
    _ = try await store.save(first)
    for version in [6, 7] as [Int64] {
      let kept = try await store.save(snapshot(stream, at: version, state: ["other": 1]))
      try require(!kept, "version \(version) was kept")
    }
    try require(try await store.snapshot(of: stream) == first, "it was replaced")
  }

  private static func otherSchema(_ store: any SnapshotStore) async throws {
    _ = try await store.save(snapshot(stream, at: 7, schema: 2))
    for schema in [3, 1] {
      let other = snapshot(stream, at: 5, schema: schema)
      try require(try await store.save(other), "schema \(schema) was not kept")
      try require(try await store.snapshot(of: stream) == other, "schema \(schema) is not there")
    }
  }

  private static func racing(_ store: any SnapshotStore) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for version in (1...20 as ClosedRange<Int64>).shuffled() {
        group.addTask { _ = try await store.save(snapshot(stream, at: version)) }
      }
      try await group.waitForAll()
    }
    let version = try await store.snapshot(of: stream)?.header.version
    try require(version == Version(20), "version \(String(describing: version)) stayed")
  }

  private static func discarding(_ store: any SnapshotStore) async throws {
    let old = snapshot(stream, at: 7)
    let new = snapshot(stream, at: 8)
    _ = try await store.save(old)
    _ = try await store.save(new)
    try await store.discard(old.header)
    try require(try await store.snapshot(of: stream) == new, "another one was discarded")
    try await store.discard(new.header)
    try require(try await store.snapshot(of: stream) == nil, "it was not discarded")
    try require(try await store.save(old), "an earlier one was not kept afterwards")
  }

  private static func listing(_ store: any SnapshotStore) async throws {
    let names = ["b/1", "a/2", "a-b/1", "a/10", "a/1"]
    for name in names.compactMap(StreamName.init(_:)) {
      _ = try await store.save(snapshot(name, at: 3))
    }
    var listed: [StreamName] = []
    while true {
      let page = try await store.headers(after: listed.last, limit: 2)
      listed += page.map(\.stream)
      if page.count < 2 { break }
    }
    try require(listed.map(\.description) == names.sorted(), "listed \(listed)")
    let first = try await store.headers(after: nil, limit: 1)
    let expected = StreamName(names.sorted()[0]).map { snapshot($0, at: 3).header }
    try require(first.first == expected, "the header is \(first)")
  }

  private static func removing(_ store: any SnapshotStore) async throws {
    try await store.removeAll()
    _ = try await store.save(snapshot(stream, at: 7))
    try await store.removeAll()
    try require(try await store.snapshot(of: stream) == nil, "it is still there")
    try require(try await store.headers(after: nil, limit: 10).isEmpty, "it is still listed")
  }
}
