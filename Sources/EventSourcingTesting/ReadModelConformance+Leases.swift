import EventSourcing
import Foundation

/// Who drives a projection, and what is committed under a lease.
extension ReadModelConformance {
  /// Longer than any check takes.
  private static let long: Duration = .seconds(60)

  private static func take(
    _ name: String, _ store: any ReadModelStore, by owner: String,
    for duration: Duration = long, _ takeover: LeaseTakeover = .whenFree
  ) async throws -> LeasedProgress? {
    try await store.acquire(name, version: 3, owner: owner, for: duration, takeover)
  }

  /// A lease that must be there.
  private static func taken(
    _ name: String, _ store: any ReadModelStore, by owner: String,
    for duration: Duration = long, _ takeover: LeaseTakeover = .whenFree, line: UInt = #line
  ) async throws -> LeasedProgress {
    guard let leased = try await take(name, store, by: owner, for: duration, takeover) else {
      throw Violation(description: "\(owner) did not get the lease (check at line \(line))")
    }
    return leased
  }

  static func firstLease(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    let absent = try await store.progress(of: name)
    let nobody = try await store.holder(of: name)
    try require(absent == nil && nobody == nil, "there is progress before the first")
    let leased = try await taken(name, store, by: "a")
    let first = ProjectionProgress(projection: name, generation: 1, version: 3, position: .start)
    try require(leased.progress == first, "first: \(leased.progress)")
    try require(leased.lease.token > 0 && leased.lease.owner == "a", "lease: \(leased.lease)")
    let stored = try await store.progress(of: name)
    try require(stored == first, "stored: \(String(describing: stored))")
    let holder = try await store.holder(of: name)
    try require(
      holder == LeaseHolder(owner: "a", token: leased.lease.token, isExpired: false),
      "holder: \(String(describing: holder))")
  }

  static func leaseEnds(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    let first = try await taken(name, store, by: "a", for: .milliseconds(400))
    let early = try await take(name, store, by: "b")
    try require(early == nil, "a held lease was taken")
    let renewed = try await store.renew(first.lease, for: long)
    try require(renewed, "the owner could not renew")
    try await Task.sleep(for: .milliseconds(500))
    let stillEarly = try await take(name, store, by: "b")
    try require(stillEarly == nil, "a renewed lease was taken")
    try await store.release(first.lease)
    let second = try await taken(name, store, by: "b", for: .milliseconds(300))
    try require(second.lease.token > first.lease.token, "the token did not rise")
    try await Task.sleep(for: .milliseconds(500))
    let over = try await store.holder(of: name)
    try require(over?.isExpired == true, "not over: \(String(describing: over))")
    let third = try await taken(name, store, by: "c")
    let late = try await store.renew(second.lease, for: long)
    try require(!late, "a lease was renewed that somebody else has")
    try await store.release(second.lease)
    let kept = try await store.renew(third.lease, for: long)
    try require(kept, "who had lost the lease gave up another's")
  }

  static func leaseTakeovers(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    _ = try await taken(name, store, by: "a")
    let wrong = try await take(name, store, by: "b", .whenFreeOrDead { $0 == "x" })
    try require(wrong == nil, "a lease was taken from the living")
    let dead = try await taken(name, store, by: "b", .whenFreeOrDead { $0 == "a" })
    let forced = try await taken(name, store, by: "c", .always)
    try require(forced.lease.token > dead.lease.token, "the token did not rise")
    let holder = try await store.holder(of: name)
    try require(holder?.owner == "c", "holder: \(String(describing: holder))")
  }

  static func leaseOneWinner(_ store: any ReadModelStore) async throws {
    let name = unique("orders")
    let wins = try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 1...10 {
        group.addTask { try await take(name, store, by: "owner \(number)") != nil }
      }
      return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    try require(wins == 1, "\(wins) got the lease")
  }

  static func committing(_ store: any ReadModelStore) async throws {
    let leased = try await taken(unique("orders"), store, by: "a", for: .milliseconds(300))
    var progress = leased.progress
    try await store.prepare(progress.collection, indexes: rankIndexes)
    progress.position = Position(7)
    let rows = [row("r1", at: 6, ["rank": 1]), row("r2", at: 7, ["rank": 2])]
    let first = try await store.commit(rows, progress, holding: leased.lease, for: long)
    try require(first, "the owner could not commit")
    try await requireRow(rows[0], store, in: progress.collection)
    try await requireRow(rows[1], store, in: progress.collection)
    let stored = try await store.progress(of: progress.projection)
    try require(stored == progress, "stored: \(String(describing: stored))")
    try await Task.sleep(for: .milliseconds(400))
    let stranger = try await take(progress.projection, store, by: "b")
    try require(stranger == nil, "a commit did not hold the lease for longer")
    progress.position = Position(9)
    let later = row("r1", at: 9, ["rank": 9])
    let second = try await store.commit([later], progress, holding: leased.lease, for: long)
    try require(second, "the second commit failed")
    try await requireRow(later, store, in: progress.collection)
    progress.position = Position(12)
    let empty = try await store.commit([], progress, holding: leased.lease, for: long)
    let moved = try await store.progress(of: progress.projection)
    try require(empty && moved == progress, "without rows: \(String(describing: moved))")
  }

  static func fencing(_ store: any ReadModelStore) async throws {
    let paused = try await taken(unique("orders"), store, by: "a")
    var progress = paused.progress
    try await store.prepare(progress.collection, indexes: [])
    let successor = try await taken(progress.projection, store, by: "b", .always)
    progress.position = Position(5)
    let woken = try await store.commit(
      [row("r1", at: 5, ["n": 1])], progress, holding: paused.lease, for: long)
    try require(!woken, "who had lost the lease committed")
    let rows = try await store.rows(of: progress.collection, after: nil, limit: 10)
    try require(rows.isEmpty, "who had lost the lease left rows")
    let stored = try await store.progress(of: progress.projection)
    try require(stored == successor.progress, "stored: \(String(describing: stored))")
    let withoutRows = try await store.commit([], progress, holding: paused.lease, for: long)
    try require(!withoutRows, "who had lost the lease moved the progress")
    let rightful = try await store.commit(
      [row("r1", at: 5, ["n": 2])], progress, holding: successor.lease, for: long)
    try require(rightful, "the owner could not commit")
    try await requireRow(row("r1", at: 5, ["n": 2]), store, in: progress.collection)
  }

  /// A commit and a takeover at the same time: what was refused has left nothing, what was
  /// acknowledged is there.
  static func racingCommits(_ store: any ReadModelStore) async throws {
    for round in 1...8 {
      let name = unique("orders")
      let leased = try await taken(name, store, by: "a")
      try await store.prepare(leased.progress.collection, indexes: [])
      var moved = leased.progress
      moved.position = Position(20)
      async let took = store.acquire(name, version: 3, owner: "b", for: long, .always)
      let rows = (1...20).map { row("r\($0)", at: Int64($0), ["n": 1]) }
      var isCommitted = false
      // Meeting the takeover may fail it: then it has left nothing either.
      do {
        isCommitted = try await store.commit(rows, moved, holding: leased.lease, for: long)
      } catch {}
      let successor = try await took
      try require(successor != nil, "round \(round): the takeover failed")
      let count = try await store.rows(of: moved.collection, after: nil, limit: 100).count
      let stored = try await store.progress(of: name)
      try require(
        count == (isCommitted ? 20 : 0)
          && stored?.position == (isCommitted ? moved.position : .start),
        "round \(round): committed \(isCommitted), \(count) rows, \(String(describing: stored))")
      if let successor {
        let again = try await store.commit(rows, moved, holding: successor.lease, for: long)
        try require(again, "round \(round): the successor could not commit")
      }
    }
  }

  static func wholeProgress(_ store: any ReadModelStore) async throws {
    let leased = try await taken(unique("orders"), store, by: "a")
    var progress = leased.progress
    progress.generation = 4
    progress.version = 2
    progress.position = Position(11)
    progress.failure = "$poison"
    progress.parked = ParkedEvent(
      position: Position(12), eventID: UUID().uuidString.lowercased(), type: "OrderInitiated",
      stream: StreamName(category: "orders", id: "order_1"), reason: "$reason",
      since: Timestamp(millisecondsSinceEpoch: 1_700_000_000_123))
    let saved = try await store.commit([], progress, holding: leased.lease, for: long)
    let stopped = try await store.progress(of: progress.projection)
    try require(saved && stopped == progress, "stored: \(String(describing: stopped))")
    try require(progress.collection == "\(progress.projection)__v4", progress.collection)
    progress.failure = nil
    progress.parked = nil
    _ = try await store.commit([], progress, holding: leased.lease, for: long)
    let mended = try await store.progress(of: progress.projection)
    try require(mended == progress, "mended: \(String(describing: mended))")
    let successor = try await taken(progress.projection, store, by: "b", .always)
    try await store.remove(leased.lease)
    let kept = try await store.progress(of: progress.projection)
    try require(kept == progress, "who had lost the lease removed the progress")
    try await store.remove(successor.lease)
    let removed = try await store.progress(of: progress.projection)
    try require(removed == nil, "removed: \(String(describing: removed))")
  }
}
