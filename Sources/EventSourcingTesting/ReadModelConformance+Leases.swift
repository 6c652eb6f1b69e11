import EventSourcing
import Foundation

/// Who drives a projection, and what is saved under a lease.
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
    // A machine that stands still for as long as the lease is kept shows nothing: once more then.
    var start = ContinuousClock.now
    var first = try await taken(name, store, by: "a", for: .seconds(3))
    while let early = try await take(name, store, by: "b") {
      try require(start.duration(to: .now) > .seconds(3), "a held lease was taken")
      try await store.release(early.lease)
      start = .now
      first = try await taken(name, store, by: "a", for: .seconds(3))
    }
    let renewed = try await store.renew(first.lease, for: long)
    try require(renewed, "the owner could not renew")
    try await Task.sleep(for: .seconds(3))
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
    let first = try await taken(name, store, by: "a")
    let wrong = try await take(name, store, by: "b", .whenFreeOrDead { $0 == "x" })
    try require(wrong == nil, "a lease was taken from the living")
    let dead = try await taken(name, store, by: "b", .whenFreeOrDead { $0 == "a" })
    try require(dead.lease.token > first.lease.token, "the token did not rise")
    let holder = try await store.holder(of: name)
    try require(holder?.owner == "b", "holder: \(String(describing: holder))")
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

  static func saving(_ store: any ReadModelStore) async throws {
    let leased = try await taken(unique("orders"), store, by: "a", for: .milliseconds(300))
    var progress = leased.progress
    progress.position = Position(7)
    let first = try await store.save(progress, holding: leased.lease, for: long)
    try require(first == .held, "the owner could not save")
    let stored = try await store.progress(of: progress.projection)
    try require(stored == progress, "stored: \(String(describing: stored))")
    try await Task.sleep(for: .milliseconds(400))
    let stranger = try await take(progress.projection, store, by: "b")
    try require(stranger == nil, "a save did not hold the lease for longer")
  }

  static func fencing(_ store: any ReadModelStore) async throws {
    let paused = try await taken(unique("orders"), store, by: "a", for: .zero)
    let successor = try await taken(paused.progress.projection, store, by: "b")
    var progress = paused.progress
    progress.position = Position(5)
    let woken = try await store.save(progress, holding: paused.lease, for: long)
    try require(woken == .lost, "who had lost the lease saved: \(woken)")
    let stored = try await store.progress(of: progress.projection)
    try require(stored == successor.progress, "stored: \(String(describing: stored))")
    let rightful = try await store.save(progress, holding: successor.lease, for: long)
    try require(rightful == .held, "the owner could not save")
  }

  /// A save and a takeover at the same time: what was refused has left nothing, what was
  /// acknowledged is there.
  static func racingSaves(_ store: any ReadModelStore) async throws {
    for round in 1...8 {
      let name = unique("orders")
      let leased = try await taken(name, store, by: "a")
      var moved = leased.progress
      moved.position = Position(20)
      async let took = store.acquire(
        name, version: 3, owner: "b", for: long, .whenFreeOrDead { _ in true })
      let state = try await store.save(moved, holding: leased.lease, for: long)
      guard let successor = try await took else {
        throw Violation(description: "round \(round): the takeover failed")
      }
      let seen = successor.progress.position
      try require(
        seen == (state == .lost ? .start : moved.position) || state == .held,
        "round \(round): \(state), the successor sees \(seen)")
      let late = try await store.save(moved, holding: leased.lease, for: long)
      try require(late == .lost, "round \(round): saved after the takeover")
    }
  }

  static func savesAtOnce(_ store: any ReadModelStore) async throws {
    let names = (0..<12).map { _ in unique("orders") }
    let states = try await withThrowingTaskGroup(of: (Int, LeaseState).self) { group in
      for (number, name) in names.enumerated() {
        let leased = try await taken(name, store, by: "a")
        if number == 5 { _ = try await taken(name, store, by: "b", .whenFreeOrDead { _ in true }) }
        if number == 7 { try await store.request(name, by: "b") }
        group.addTask {
          var moved = leased.progress
          moved.position = Position(Int64(number) + 1)
          return (number, try await store.save(moved, holding: leased.lease, for: long))
        }
      }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    for (number, name) in names.enumerated() {
      let expected: LeaseState = number == 5 ? .lost : number == 7 ? .wanted : .held
      try require(states[number] == expected, "\(number): \(String(describing: states[number]))")
      let position = try await store.progress(of: name)?.position
      try require(
        position == (number == 5 ? .start : Position(Int64(number) + 1)),
        "\(number) stands at \(String(describing: position))")
    }
  }

  static func leaseRequests(_ store: any ReadModelStore) async throws {
    let leased = try await taken(unique("orders"), store, by: "a")
    let name = leased.progress.projection
    // The lease is kept for who asks for 3 s: on a machine that stands still for longer this shows
    // nothing, and is done once more.
    var isTold = false
    while !isTold {
      let start = ContinuousClock.now
      try await store.request(name, by: "b")
      let early = try await take(name, store, by: "b")
      try require(early == nil, "a held lease was taken")
      let asked = try await store.save(leased.progress, holding: leased.lease, for: long)
      isTold = asked == .wanted
      try require(isTold || .now - start > .seconds(3), "the owner is not told: \(asked)")
    }
    try await store.release(leased.lease)
    for stranger in ["a", "c"] {
      var isKept = false
      while !isKept {
        let asked = ContinuousClock.now
        try await store.request(name, by: "b")
        guard let other = try await take(name, store, by: stranger) else {
          isKept = true
          continue
        }
        try require(
          .now - asked > .seconds(3), "\(stranger) got what is kept for another")
        try await store.release(other.lease)
      }
    }
    let second = try await taken(name, store, by: "b")
    let undisturbed = try await store.save(second.progress, holding: second.lease, for: long)
    try require(undisturbed == .held, "the request is still there: \(undisturbed)")
    // Who asks and is not heard of again is forgotten.
    try await store.request(name, by: "c")
    try await Task.sleep(for: .milliseconds(3200))
    let forgotten = try await store.save(second.progress, holding: second.lease, for: long)
    try require(forgotten == .held, "an old request counts: \(forgotten)")
    try await store.release(second.lease)
    _ = try await taken(name, store, by: "d")
  }

  static func deadlines(_ store: any ReadModelStore) async throws {
    let collection = unique("things")
    try await store.prepare(collection, indexes: [])
    try await store.write([row("a", at: 1, ["n": 1])], to: collection, before: .now + long)
    try await requireRow(row("a", at: 1, ["n": 1]), store, in: collection)
    do {
      try await store.write([row("a", at: 2, ["n": 2])], to: collection, before: .now)
      throw Violation(description: "written after the deadline")
    } catch is LeaseLost {}
    try await requireRow(row("a", at: 1, ["n": 1]), store, in: collection)
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
    let saved = try await store.save(progress, holding: leased.lease, for: long)
    let stopped = try await store.progress(of: progress.projection)
    try require(saved == .held && stopped == progress, "stored: \(String(describing: stopped))")
    try require(progress.collection == "\(progress.projection)__v4", progress.collection)
    progress.failure = nil
    progress.parked = nil
    _ = try await store.save(progress, holding: leased.lease, for: long)
    let mended = try await store.progress(of: progress.projection)
    try require(mended == progress, "mended: \(String(describing: mended))")
    let successor = try await taken(
      progress.projection, store, by: "b", .whenFreeOrDead { _ in true })
    try await store.remove(leased.lease)
    let kept = try await store.progress(of: progress.projection)
    try require(kept == progress, "who had lost the lease removed the progress")
    try await store.remove(successor.lease)
    let removed = try await store.progress(of: progress.projection)
    try require(removed == nil, "removed: \(String(describing: removed))")
  }
}
