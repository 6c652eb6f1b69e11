import EventSourcing
import Foundation

/// What every ``ReadModelStore`` promises, as checks that run against any of them.
///
///     @Test(arguments: ReadModelConformance.checks)
///     func conforms(_ check: ReadModelConformance.Check) async throws {
///       try await check.run(makeStore())
///     }
///
/// Checks use collections and names of their own, so that they may share a database.
public enum ReadModelConformance {
  public struct Check: Sendable, CustomStringConvertible {
    public let description: String
    public let run: @Sendable (any ReadModelStore) async throws -> Void
  }

  /// A promise that a store does not keep.
  public struct Violation: Error, CustomStringConvertible {
    public let description: String
  }

  public static let checks: [Check] = [
    Check(description: "a row comes back as it was written", run: roundTrip),
    Check(description: "loading answers the rows that are there", run: loading),
    Check(description: "a later row replaces all of an earlier one", run: laterReplaces),
    Check(description: "an earlier row never overwrites a later one", run: earlierIsIgnored),
    Check(description: "writing twice is writing once", run: twiceIsOnce),
    Check(description: "of a batch, the rows that are newer land", run: mixedBatch),
    Check(description: "of concurrent first writes of a row, the latest stays", run: racing),
    Check(description: "rows are found by equal fields", run: equality),
    Check(description: "rows are found by a range", run: ranges),
    Check(description: "rows are sorted both ways, ties by id", run: sorting),
    Check(description: "integers and decimals sort as numbers", run: numericOrder),
    Check(description: "paging visits every row once, ties included", run: paging),
    Check(description: "paging does not stumble over rows written meanwhile", run: movingPages),
    Check(
      description: "a walk while rows are added and changed repeats none and loses none",
      run: busyPages),
    Check(description: "all rows are listed in the order of their ids", run: allRows),
    Check(description: "preparing twice is harmless", run: preparing),
    Check(
      description: "rows are inserted, and what is there and newer is left alone", run: inserting),
    Check(description: "two collections are compared row by row", run: comparing),
    Check(description: "the first lease begins the progress", run: firstLease),
    Check(description: "a lease is held by one, until it is given up or over", run: leaseEnds),
    Check(description: "a lease is taken from the dead", run: leaseTakeovers),
    Check(description: "of concurrent acquisitions one succeeds", run: leaseOneWinner),
    Check(description: "progress is saved under the lease, and holds it", run: saving),
    Check(description: "who has lost the lease saves nothing", run: fencing),
    Check(description: "of two who save, the one with the lease does", run: racingSaves),
    Check(description: "saves of many projections at once are told apart", run: savesAtOnce),
    Check(description: "a lease that somebody asks for is kept for him", run: leaseRequests),
    Check(description: "rows are not written after the deadline", run: deadlines),
    Check(description: "progress is kept whole, and removed with its lease", run: wholeProgress),
    Check(description: "a checkpoint only rises", run: checkpoints),
    Check(description: "a dropped collection is empty and can be used again", run: dropping),
  ]

  static func require(
    _ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line
  ) throws {
    if !condition { throw Violation(description: "\(message()) (check at line \(line))") }
  }

  static func unique(_ name: String) -> String {
    "\(name)_\(UUID().uuidString.lowercased())"
  }

  static func row(_ id: String, at position: Int64, _ fields: Fields) -> StoredRow {
    StoredRow(id: id, position: Position(position), fields: fields)
  }

  /// A prepared collection that holds `rows`.
  static func collection(
    _ store: any ReadModelStore, indexes: [ReadModelIndex] = [], _ rows: [StoredRow]
  ) async throws -> String {
    let collection = unique("things")
    try await store.prepare(collection, indexes: indexes)
    if !rows.isEmpty { try await store.write(rows, to: collection) }
    return collection
  }

  static func requireRow(
    _ expected: StoredRow, _ store: any ReadModelStore, in collection: String, line: UInt = #line
  ) async throws {
    let stored = try await store.load([expected.id], from: collection)[expected.id]
    try require(
      stored == expected, "\(String(describing: stored)) instead of \(expected)", line: line)
  }

  static func ids(
    _ query: ReadModelQuery, _ store: any ReadModelStore, in collection: String
  ) async throws -> [String] {
    try await store.find(query, in: collection).map(\.id)
  }

  // MARK: Writing

  private static func roundTrip(_ store: any ReadModelStore) async throws {
    let fields: Fields = [
      "text": "caf\u{E9} \u{1F600} \"quoted\"", "integer": .integer(.max), "negative": -5,
      "decimal": .decimal(FixedDecimal(unscaled: -19_990, scale: 2)), "bool": true, "null": nil,
      "array": [1, "two", [3]], "object": ["nested": ["deep": 1]], "empty": [:], "none": [],
    ]
    let written = row("r1", at: 7, fields)
    let collection = try await collection(store, [written])
    try await requireRow(written, store, in: collection)
    let stored = try await store.load(["r1"], from: collection)["r1"]
    try require(stored?.fields.keys == written.fields.keys, "the order of keys changed")
  }

  private static func loading(_ store: any ReadModelStore) async throws {
    let rows = (1...5).map { row("r\($0)", at: 1, ["n": .integer(Int64($0))]) }
    let collection = try await collection(store, rows)
    let some = try await store.load(["r2", "absent", "r4", "r2"], from: collection)
    try require(some == ["r2": rows[1], "r4": rows[3]], "loaded \(some)")
    let absent = try await store.load(["absent"], from: collection)
    try require(absent.isEmpty, "an absent row was loaded")
    let none = try await store.load([], from: collection)
    try require(none.isEmpty, "no ids loaded \(none)")
    let elsewhere = try await store.load(["r1"], from: unique("nowhere"))
    try require(elsewhere.isEmpty, "an absent collection has rows")
  }

  private static func laterReplaces(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, [row("a", at: 1, ["old": 1, "both": 1])])
    let later = row("a", at: 2, ["both": 2])
    try await store.write([later], to: collection)
    try await requireRow(later, store, in: collection)
  }

  private static func earlierIsIgnored(_ store: any ReadModelStore) async throws {
    let stored = row("a", at: 5, ["n": 5])
    let collection = try await collection(store, [stored])
    for position in [Int64(4), 1, 5] {
      try await store.write([row("a", at: position, ["n": 99, "extra": 1])], to: collection)
      try await requireRow(stored, store, in: collection)
    }
    let count = try await store.rows(of: collection, after: nil, limit: 10).count
    try require(count == 1, "\(count) rows instead of one")
  }

  private static func twiceIsOnce(_ store: any ReadModelStore) async throws {
    let rows = (1...20).map { row("r\($0)", at: Int64($0), ["n": .integer(Int64($0))]) }
    let collection = try await collection(store, rows)
    try await store.write(rows, to: collection)
    let stored = try await store.rows(of: collection, after: nil, limit: 100)
    try require(stored == rows.sorted { $0.id < $1.id }, "the rows changed")
  }

  private static func mixedBatch(_ store: any ReadModelStore) async throws {
    let collection = try await collection(
      store, [row("a", at: 5, ["n": 5]), row("b", at: 5, ["n": 5])])
    try await store.write(
      [row("a", at: 3, ["n": 3]), row("b", at: 6, ["n": 6]), row("c", at: 1, ["n": 1])],
      to: collection)
    try await requireRow(row("a", at: 5, ["n": 5]), store, in: collection)
    try await requireRow(row("b", at: 6, ["n": 6]), store, in: collection)
    try await requireRow(row("c", at: 1, ["n": 1]), store, in: collection)
  }

  private static func racing(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, [])
    for round in 0..<20 {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for position in 1...8 {
          group.addTask {
            try await store.write(
              [row("r\(round)", at: Int64(position), ["n": .integer(Int64(position))])],
              to: collection)
          }
        }
        try await group.waitForAll()
      }
      try await requireRow(row("r\(round)", at: 8, ["n": 8]), store, in: collection)
    }
  }

  // MARK: Finding

  /// 23 rows in four groups, with ties in `rank`; ids are not in the order of the groups.
  static let population: [StoredRow] = (0..<23).map(ReadModelConformance.member)

  private static func member(_ index: Int) -> StoredRow {
    let fields: Fields = [
      "group": .string("g\(index % 4)"), "rank": .integer(Int64(index * 7 % 5)),
      "open": .bool(index.isMultiple(of: 2)),
    ]
    return row(index < 10 ? "r0\(index)" : "r\(index)", at: Int64(index) + 1, fields)
  }

  static let rankIndexes = [
    ReadModelIndex(ReadModelIndex.Key("rank")),
    ReadModelIndex(ReadModelIndex.Key("group"), ReadModelIndex.Key("rank", isDescending: true)),
  ]

  private static func rank(_ row: StoredRow) -> Int64 { row.fields["rank"]?.integerValue ?? -1 }

  private static func equality(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, indexes: rankIndexes, population)
    let group = try await ids(
      ReadModelQuery(equals: ["group": "g1"]), store, in: collection)
    try require(group == ["r01", "r05", "r09", "r13", "r17", "r21"], "by group: \(group)")
    let both = try await ids(
      ReadModelQuery(equals: ["group": "g2", "rank": 0]), store, in: collection)
    try require(both == ["r10"], "by group and rank: \(both)")
    let bool = try await store.find(
      ReadModelQuery(equals: ["open": true]), in: collection)
    try require(bool.count == 12, "by a boolean: \(bool.count)")
    try require(
      bool == population.filter { $0.fields["open"] == .bool(true) },
      "found rows are not as written")
    for equals: Fields in [["group": "g9"], ["absent": "g1"], ["rank": "0"], ["group": ["$ne": 1]]]
    {
      let none = try await ids(ReadModelQuery(equals: equals), store, in: collection)
      try require(none.isEmpty, "\(equals) found \(none)")
    }
    let nowhere = try await ids(ReadModelQuery(), store, in: unique("nowhere"))
    try require(nowhere.isEmpty, "an absent collection has rows")
  }

  private static func ranges(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, indexes: rankIndexes, population)
    func count(_ least: Value?, _ most: Value?, _ equals: Fields = [:]) async throws -> Int {
      try await store.find(
        ReadModelQuery(
          equals: equals,
          range: ReadModelQuery.Range("rank", atLeast: least, atMost: most)),
        in: collection
      ).count
    }
    func expected(_ isIn: (Int64) -> Bool) -> Int { population.count { isIn(rank($0)) } }
    let inside = try await count(1, 3)
    try require(inside == expected { (1...3).contains($0) }, "1 to 3: \(inside)")
    let least = try await count(4, nil)
    try require(least == expected { $0 >= 4 }, "at least 4: \(least)")
    let most = try await count(nil, 0)
    try require(most == expected { $0 == 0 }, "at most 0: \(most)")
    let open = try await count(nil, nil)
    try require(open == 23, "without bounds: \(open)")
    let empty = try await count(3, 1)
    try require(empty == 0, "3 to 1: \(empty)")
    let grouped = try await count(0, 0, ["group": "g2"])
    try require(grouped == 1, "0 in g2: \(grouped)")
  }

  private static func sorting(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, indexes: rankIndexes, population)
    let ascending = population.sorted { (rank($0), $0.id) < (rank($1), $1.id) }.map(\.id)
    let up = try await ids(ReadModelQuery(sortField: "rank"), store, in: collection)
    try require(up == ascending, "ascending: \(up)")
    let down = try await ids(
      ReadModelQuery(sortField: "rank", isDescending: true), store, in: collection)
    try require(down == ascending.reversed(), "descending: \(down)")
    let byID = try await ids(ReadModelQuery(limit: 3), store, in: collection)
    try require(byID == ["r00", "r01", "r02"], "by id: \(byID)")
    let byIDDown = try await ids(
      ReadModelQuery(isDescending: true, limit: 3), store, in: collection)
    try require(byIDDown == ["r22", "r21", "r20"], "by id, descending: \(byIDDown)")
  }

  private static func numericOrder(_ store: any ReadModelStore) async throws {
    let amounts: [(String, Value)] = [
      ("d", .decimal(FixedDecimal(unscaled: 1050, scale: 2))), ("c", .integer(2)),
      ("b", .decimal(FixedDecimal(unscaled: 15, scale: 1))), ("e", .integer(100)),
      ("a", .integer(-3)),
    ]
    let collection = try await collection(
      store, amounts.map { row($0.0, at: 1, Fields([("amount", $0.1)])) })
    let sorted = try await ids(ReadModelQuery(sortField: "amount"), store, in: collection)
    try require(sorted == ["a", "b", "c", "d", "e"], "sorted: \(sorted)")
  }

  private static func allRows(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, population.reversed())
    var listed: [StoredRow] = []
    while true {
      let page = try await store.rows(of: collection, after: listed.last?.id, limit: 6)
      if page.isEmpty { break }
      try require(page.count <= 6, "a page of \(page.count) rows")
      listed += page
    }
    try require(listed == population, "listed \(listed.map(\.id))")
    let beyond = try await store.rows(of: collection, after: "z", limit: 6)
    try require(beyond.isEmpty, "there is something after the last row")
  }

  private static func preparing(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, indexes: rankIndexes, population)
    try await store.prepare(collection, indexes: rankIndexes)
    let count = try await store.rows(of: collection, after: nil, limit: 100).count
    try require(count == 23, "preparing again left \(count) rows")
  }

  private static func inserting(_ store: any ReadModelStore) async throws {
    let collection = try await collection(
      store, [row("r02", at: 9, ["n": 9]), row("r04", at: 1, ["n": 1])])
    let bytes = try await store.insert(
      [
        row("r01", at: 1, ["n": 1]), row("r02", at: 1, ["n": 1]), row("r03", at: 1, ["n": 1]),
        row("r04", at: 2, ["n": 2]),
      ], into: collection)
    try require(bytes > 0, "nothing was written")
    try await requireRow(row("r01", at: 1, ["n": 1]), store, in: collection)
    try await requireRow(row("r02", at: 9, ["n": 9]), store, in: collection)
    try await requireRow(row("r03", at: 1, ["n": 1]), store, in: collection)
    try await requireRow(row("r04", at: 2, ["n": 2]), store, in: collection)
    let none = try await store.insert([], into: collection)
    try require(none == 0, "no rows took \(none) bytes")
  }

  private static func comparing(_ store: any ReadModelStore) async throws {
    let same = (1...50).map { row("s\($0)", at: 5, ["n": .integer(Int64($0))]) }
    let old = try await collection(
      store,
      same + [
        row("changed", at: 5, ["n": 1, "text": "old"]), row("moved", at: 5, ["n": 1]),
        row("a_gone", at: 5, ["n": 1]), row("\u{E9}_gone", at: 5, [:]),
      ])
    let new = try await collection(
      store,
      same + [
        row("changed", at: 5, ["n": 1, "text": "new"]), row("moved", at: 6, ["n": 1]),
        row("z_come", at: 5, ["n": 1]),
      ])
    let comparison = try await store.compare(old, with: new)
    try require(comparison.rows == 53, "\(comparison.rows) rows")
    try require(comparison.different == ["changed"], "different: \(comparison.different)")
    try require(comparison.differentCount == 1, "\(comparison.differentCount) different")
    try require(
      Set(comparison.unsettled) == ["a_gone", "moved", "z_come", "\u{E9}_gone"],
      "unsettled: \(comparison.unsettled)")
    let equal = try await store.compare(old, with: old)
    try require(equal.differentCount == 0 && equal.unsettled.isEmpty, "not equal to itself")
    let empty = try await store.compare(unique("nowhere"), with: new)
    try require(empty.unsettled.count == 53, "beside nothing: \(empty.unsettled.count)")
  }

  private static func checkpoints(_ store: any ReadModelStore) async throws {
    let name = unique("saga")
    let absent = try await store.checkpoint(of: name)
    try require(absent == .start, "a checkpoint before the first: \(absent)")
    for (saved, expected) in [(Int64(5), Int64(5)), (3, 5), (5, 5), (9, 9), (0, 9)] {
      try await store.saveCheckpoint(Position(saved), of: name)
      let stored = try await store.checkpoint(of: name)
      try require(stored == Position(expected), "after \(saved): \(stored)")
    }
    let other = try await store.checkpoint(of: unique("saga"))
    try require(other == .start, "another subscription has a checkpoint: \(other)")
  }

  private static func dropping(_ store: any ReadModelStore) async throws {
    try await store.drop(unique("nowhere"))
    let kept = try await collection(store, population)
    let dropped = try await collection(store, indexes: rankIndexes, population)
    try await store.drop(dropped)
    let rows = try await store.rows(of: dropped, after: nil, limit: 10)
    try require(rows.isEmpty, "a dropped collection has rows")
    let found = try await store.find(ReadModelQuery(), in: dropped)
    try require(found.isEmpty, "rows of a dropped collection are found")
    let count = try await store.rows(of: kept, after: nil, limit: 100).count
    try require(count == 23, "another collection lost rows")
    try await store.prepare(dropped, indexes: rankIndexes)
    // Nothing is left of the old rows' positions.
    try await store.write([row("r05", at: 1, ["n": 1])], to: dropped)
    try await requireRow(row("r05", at: 1, ["n": 1]), store, in: dropped)
  }
}
