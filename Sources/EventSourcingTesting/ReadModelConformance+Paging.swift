import EventSourcing

/// Lists that are read page by page, while others write.
extension ReadModelConformance {
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

  static func paging(_ store: any ReadModelStore) async throws {
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
    for (limit, expected) in [(100, 6), (6, 6), (2, 2)] {
      let count = try await store.count(
        ReadModelQuery(equals: ["group": "g1"], limit: limit), in: collection)
      try require(count == expected, "\(count) of a group, of \(limit) at most")
    }
    let nobody = try await store.count(ReadModelQuery(equals: ["group": "g9"]), in: collection)
    try require(nobody == 0, "\(nobody) of a group that there is not")
  }

  static func movingPages(_ store: any ReadModelStore) async throws {
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

  static func busyPages(_ store: any ReadModelStore) async throws {
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
}
