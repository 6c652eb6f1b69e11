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
    Check(description: "progress is replaced by its generation only", run: progressGenerations),
    Check(description: "progress never goes back", run: progressRises),
    Check(description: "of concurrent first progresses, one is saved", run: progressOneWinner),
    Check(description: "a checkpoint only rises", run: checkpoints),
    Check(description: "a dropped collection is empty and can be used again", run: dropping),
  ]

  private static func require(
    _ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line
  ) throws {
    if !condition { throw Violation(description: "\(message()) (check at line \(line))") }
  }

  private static func unique(_ name: String) -> String {
    "\(name)_\(UUID().uuidString.lowercased())"
  }

  private static func row(_ id: String, at position: Int64, _ fields: Fields) -> StoredRow {
    StoredRow(id: id, position: Position(position), fields: fields)
  }

  /// A prepared collection that holds `rows`.
  private static func collection(
    _ store: any ReadModelStore, indexes: [ReadModelIndex] = [], _ rows: [StoredRow]
  ) async throws -> String {
    let collection = unique("things")
    try await store.prepare(collection, indexes: indexes)
    if !rows.isEmpty { try await store.write(rows, to: collection) }
    return collection
  }

  private static func requireRow(
    _ expected: StoredRow, _ store: any ReadModelStore, in collection: String, line: UInt = #line
  ) async throws {
    let stored = try await store.load([expected.id], from: collection)[expected.id]
    try require(
      stored == expected, "\(String(describing: stored)) instead of \(expected)", line: line)
  }

  private static func ids(
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
  private static let population: [StoredRow] = (0..<23).map(ReadModelConformance.member)

  private static func member(_ index: Int) -> StoredRow {
    let fields: Fields = [
      "group": .string("g\(index % 4)"), "rank": .integer(Int64(index * 7 % 5)),
      "open": .bool(index.isMultiple(of: 2)),
    ]
    return row(index < 10 ? "r0\(index)" : "r\(index)", at: Int64(index) + 1, fields)
  }

  private static let rankIndexes = [
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

  // MARK: Paging

  /// The ids of all pages, each cursor taken through its token.
  private static func pages(
    _ query: ReadModelQuery, _ store: any ReadModelStore, in collection: String,
    pagesMax: Int = 100
  ) async throws -> [String] {
    var query = query
    var visited: [String] = []
    for _ in 0..<pagesMax {
      let page = try await store.find(query, in: collection)
      visited += page.map(\.id)
      guard let last = page.last else { return visited }
      try require(page.count <= query.limit, "a page of \(page.count) rows")
      guard let cursor = PageCursor(token: query.cursor(after: last).token) else {
        throw Violation(description: "a cursor cannot be read back")
      }
      query.cursor = cursor
    }
    throw Violation(description: "paging does not end")
  }

  private static func paging(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, indexes: rankIndexes, population)
    for sortField in [nil, "rank", "group"] as [String?] {
      for isDescending in [false, true] {
        for limit in [1, 4, 5, 23, 50] {
          let query = ReadModelQuery(
            sortField: sortField, isDescending: isDescending, limit: limit)
          var whole = query
          whole.limit = 100
          let expected = try await ids(whole, store, in: collection)
          let visited = try await pages(query, store, in: collection)
          try require(
            visited == expected && Set(visited).count == 23,
            "pages of \(limit) by \(sortField ?? "id"): \(visited)")
        }
      }
    }
    let group = try await pages(
      ReadModelQuery(equals: ["group": "g1"], sortField: "rank", isDescending: true, limit: 2),
      store, in: collection)
    try require(group.count == 6 && Set(group).count == 6, "pages of a group: \(group)")
  }

  private static func movingPages(_ store: any ReadModelStore) async throws {
    let collection = try await collection(store, population)
    let first = try await store.find(
      ReadModelQuery(sortField: "rank", limit: 10), in: collection)
    guard let last = first.last else { throw Violation(description: "there is no first page") }
    // Before the cursor: seen by nobody who is past it.
    try await store.write([row("aaa", at: 100, ["rank": -1])], to: collection)
    let cursor = ReadModelQuery(sortField: "rank").cursor(after: last)
    let rest = try await ids(
      ReadModelQuery(sortField: "rank", cursor: cursor), store, in: collection)
    let visited = first.map(\.id) + rest
    try require(
      visited.count == 23 && Set(visited) == Set(population.map(\.id)), "visited \(visited)")
  }

  private static func busyPages(_ store: any ReadModelStore) async throws {
    func member(_ index: Int, at position: Int64) -> StoredRow {
      row("r\(index)", at: position, ["rank": .integer(Int64(index / 3)), "n": .integer(position)])
    }
    let first = (0..<120).map { member($0, at: 1) }
    let collection = try await collection(
      store, indexes: [ReadModelIndex(ReadModelIndex.Key("rank", isDescending: true))], first)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for round in 0..<60 {
          let added = member(120 + round, at: 1)
          let changed = member(round * 37 % 120, at: Int64(round) + 2)
          try await store.write([added, changed], to: collection)
        }
      }
      for limit in [1, 7] {
        group.addTask {
          let visited = try await pages(
            ReadModelQuery(sortField: "rank", isDescending: true, limit: limit), store,
            in: collection, pagesMax: 300)
          try require(Set(visited).count == visited.count, "some rows came twice: \(visited)")
          let lost = Set(first.map(\.id)).subtracting(visited)
          try require(lost.isEmpty, "pages of \(limit) lost \(lost)")
        }
      }
      try await group.waitForAll()
    }
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

  // MARK: Progress

  private static func progress(
    _ name: String, _ generation: Int, _ position: Int64, failure: String? = nil
  ) -> ProjectionProgress {
    ProjectionProgress(
      projection: name, generation: generation, position: Position(position), failure: failure)
  }

  private static func progressGenerations(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    let absent = try await store.progress(of: name)
    try require(absent == nil, "there is progress before the first")
    let tooEarly = try await store.save(progress(name, 2, 5), replacing: 1)
    try require(!tooEarly, "a generation that was never saved was replaced")
    let first = try await store.save(progress(name, 1, 5), replacing: 0)
    try require(first, "the first progress was not saved")
    let again = try await store.save(progress(name, 1, 6), replacing: 0)
    try require(!again, "a first progress was saved twice")
    let moved = try await store.save(progress(name, 1, 7, failure: "poison"), replacing: 1)
    try require(moved, "the progress did not move")
    let failed = try await store.progress(of: name)
    try require(failed == progress(name, 1, 7, failure: "poison"), "the failure is not there")
    let flipped = try await store.save(progress(name, 2, 9), replacing: 1)
    try require(flipped, "the next generation was not saved")
    let late = try await store.save(progress(name, 1, 10), replacing: 1)
    try require(!late, "the old generation was saved after the flip")
    let other = try await store.save(progress(name, 2, 20), replacing: 1)
    try require(!other, "a second flip from the old generation was saved")
    let stored = try await store.progress(of: name)
    try require(stored == progress(name, 2, 9), "stored: \(String(describing: stored))")
    try require(
      stored?.collection == "\(name)__v2", "the pointer is \(stored?.collection ?? "nil")")
  }

  private static func progressRises(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    let first = try await store.save(progress(name, 1, 5), replacing: 0)
    let same = try await store.save(progress(name, 1, 5), replacing: 1)
    try require(first && same, "the same position was not saved")
    let back = try await store.save(progress(name, 1, 4), replacing: 1)
    try require(!back, "the position went back")
    let flippedBack = try await store.save(progress(name, 2, 4), replacing: 1)
    try require(!flippedBack, "a flip went back")
    let stored = try await store.progress(of: name)
    try require(stored == progress(name, 1, 5), "stored: \(String(describing: stored))")
  }

  private static func progressOneWinner(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
      for position in 1...10 {
        group.addTask {
          try await store.save(progress(name, 1, Int64(position)), replacing: 0)
        }
      }
      return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    try require(wins == 1, "\(wins) first progresses were saved")
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
