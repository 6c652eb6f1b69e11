import EventSourcing
import Synchronization

extension ProjectionConformance {
  /// Small slices of work, so that there are many points to die at.
  private static var patient: RebuildSettings {
    RebuildSettings(checkpointPause: .zero, grace: .zero)
  }

  static func rebuildDies(_ place: Place) async throws {
    try await TallyProjection.fill(place.log, commits: 12)
    var deaths = 0
    for operation in 1... {
      var isThrough = false
      for isDone in [false, true] {
        let tallies = TallyProjection(name: "tallies_\(operation)_\(isDone ? "a" : "b")")
        let situation = "died \(isDone ? "after" : "before") \(operation)"
        try await place.driveToHead(tallies)
        // The old rows are behind: nobody drives them.
        try await TallyProjection.fill(place.log, commits: 1)
        let dying = DyingReadModels(
          place.store, at: DyingReadModels.Point(operation: operation, isDone: isDone))
        do {
          _ = try await place.rebuild(tallies, store: dying, settings: patient)
          isThrough = !dying.isDead
        } catch is DyingReadModels.Died {
          deaths += 1
        }
        try await place.requireFoldWhereItStands(tallies, situation + ", at once")
        var settings = patient
        settings.expectsSame = isDone
        let result = try await place.rebuild(tallies, settings: settings)
        try require(
          result.hasSwitched && result.differenceCount == 0, "\(situation): \(result.differences)")
        try await place.requireFold(tallies, situation + ", rebuilt")
        let left = try await place.store.progress(
          of: ProjectionProgress.rebuildName(of: tallies.name))
        try require(left == nil, "\(situation): the progress of the rebuild is left")
        // What served before, and what was begun, is gone.
        for generation in 1..<result.generation {
          let old = ProjectionProgress.collection(tallies.name, generation)
          let rows = try await place.store.rows(of: old, after: nil, limit: 10)
          try require(rows.isEmpty, "\(situation): \(old) of \(result.generation) is left")
        }
      }
      if isThrough { break }
    }
    try require(deaths > 10, "only \(deaths) deaths")
  }

  static func rebuildResumes(_ place: Place) async throws {
    let tallies = TallyProjection()
    // More than one slice of the log.
    try await TallyProjection.fill(place.log, commits: 3000)
    let head = try await place.log.head()
    let starts = Mutex<[Position]>([])
    // It dies at its second checkpoint, or thereabouts.
    let dying = DyingReadModels(
      place.store, at: DyingReadModels.Point(operation: 6, isDone: true))
    do {
      _ = try await place.rebuild(tallies, store: dying, settings: patient)
      throw Violation(description: "it did not die")
    } catch is DyingReadModels.Died {}
    let left = try await place.store.progress(
      of: ProjectionProgress.rebuildName(of: tallies.name))
    try require(
      left.map { $0.position > .start && $0.position < head } ?? false,
      "left: \(String(describing: left))")
    let result = try await place.rebuild(tallies, settings: patient) { progress in
      if progress.phase == .folding { starts.withLock { $0.append(progress.start) } }
    }
    try require(
      starts.withLock { $0.first } == left?.position, "it began at \(starts.withLock { $0 })")
    try require(result.rows == 8, "\(result.rows) rows")
    try await place.requireFold(tallies)
  }

  static func notDriven(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 10)
    let first = try await place.rebuild(tallies)
    try require(!first.wasCompared && first.hasSwitched, "compared with nothing: \(first)")
    try await place.requireFold(tallies, "first")
    // Driven by somebody who has ended in peace, then by nobody.
    for round in 1...2 {
      if round == 2 { try await place.driveToHead(tallies) }
      let end = try await place.log.head()
      try await TallyProjection.fill(place.log, commits: 10)
      let comparedAt = Mutex<[Position?]>([])
      let acting = ActingReadModels(place.store) {
        let progress = try await place.store.progress(of: tallies.name)
        comparedAt.withLock { $0.append(progress?.position) }
      }
      let result = try await place.rebuild(
        tallies, store: acting, settings: RebuildSettings(grace: .zero, expectsSame: true))
      try require(
        comparedAt.withLock { $0 } == [end],
        "round \(round): compared at \(comparedAt.withLock { $0 }) instead of \(end)")
      try require(
        result.wasCompared && result.hasSwitched && result.differenceCount == 0,
        "round \(round): \(result)")
      try await place.requireFold(tallies, "round \(round)")
    }
  }

  static func drivenSince(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 10)
    try await place.driveToHead(tallies)
    let comparisons = Mutex(0)
    let acting = ActingReadModels(place.store) {
      comparisons.withLock { $0 += 1 }
      try await TallyProjection.fill(place.log, commits: 3)
      try await place.driveToHead(tallies)
    }
    let result = try await place.rebuild(
      tallies, store: acting, settings: RebuildSettings(grace: .zero, expectsSame: true))
    try require(comparisons.withLock { $0 } == 2, "\(comparisons.withLock { $0 }) comparisons")
    try require(
      result.wasCompared && result.hasSwitched && result.differenceCount == 0, "\(result)")
    try await place.requireFold(tallies)
  }

  /// A new program that makes the same rows, beside the old one at work.
  static func otherFoldDriven(_ place: Place) async throws {
    try await TallyProjection.fill(place.log, commits: 50)
    let old = place.driver(
      TallyProjection(), board: ProjectionBoard(), process: LeaseProcess("old") { _ in false })
    let running = Task { try await old.run() }
    let writing = Task {
      while !Task.isCancelled {
        try await TallyProjection.fill(place.log, commits: 3)
        try await Task.sleep(for: .milliseconds(1))
      }
    }
    let isMoving = try await place.poll {
      try await place.store.progress(of: "tallies")?.position ?? .start > Position(60)
    }
    try require(isMoving, "the old program does not drive")
    let new = TallyProjection(version: 2)
    let result = try await place.rebuild(
      new, process: LeaseProcess("new") { _ in false },
      settings: RebuildSettings(grace: .zero, expectsSame: true))
    writing.cancel()
    // The last append may be cancelled; it is done or not.
    try? await writing.value
    running.cancel()
    try await running.value
    try require(
      result.wasCompared && result.hasSwitched && result.differenceCount == 0, "\(result)")
    try await place.requireFoldWhereItStands(new)
    try await place.driveToHead(new)
    try await place.requireFold(new)
  }

  static func littleMemory(_ place: Place) async throws {
    let tallies = TallyProjection()
    // More rows than stay in memory, most of them touched again and again.
    try await TallyProjection.fill(place.log, commits: 9000, streams: 2500)
    let result = try await place.rebuild(
      tallies, settings: RebuildSettings(memoryBytesMax: 0, grace: .zero))
    try require(result.rows == 2501, "\(result.rows) rows")
    try await place.requireFold(tallies, "little memory")
    let again = try await place.rebuild(
      tallies, settings: RebuildSettings(readersMax: 5, grace: .zero))
    try require(again.differenceCount == 0, "\(again.differences.prefix(3))")
    try await place.requireFold(tallies, "much memory")
  }

  static func live(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 50)
    let board = ProjectionBoard()
    let driver = place.driver(
      tallies, board: board, process: LeaseProcess("driver") { _ in false }, batch: 1000)
    let running = Task { try await driver.run() }
    let writing = Task {
      while !Task.isCancelled {
        try await TallyProjection.fill(place.log, commits: 3)
        // A log and a store in memory never wait: others would not get their turn.
        try await Task.sleep(for: .milliseconds(1))
      }
    }
    let reader = ReadModelReader(store: place.store, board: board)
    let reading = Task {
      var last = Position.start
      while !Task.isCancelled {
        let answer = try await reader.row(
          "total", of: tallies.name, minimumPosition: nil, waitMax: .zero)
        try require(answer.position >= last, "positions went back to \(answer.position)")
        try require(
          answer.value != nil || last == .start, "no row at \(answer.position)")
        last = answer.position
        try? await Task.sleep(for: .milliseconds(1))
      }
    }
    for round in 1...5 {
      // The grace is what readers of the old rows need.
      let result = try await place.rebuild(
        tallies, process: LeaseProcess("rebuild") { _ in false },
        settings: RebuildSettings(grace: .milliseconds(200), expectsSame: true))
      try require(
        result.hasSwitched && result.differenceCount == 0,
        "round \(round): \(result.differences.prefix(3))")
    }
    writing.cancel()
    // The last append may be cancelled; it is done or not.
    try? await writing.value
    reading.cancel()
    try await reading.value
    let head = try await place.log.head()
    let isThere = try await place.poll { board.progress(of: tallies.name)?.position == head }
    running.cancel()
    try await running.value
    try require(isThere, "the driver does not go on: \(String(describing: board.statuses))")
    try await place.requireFold(tallies)
  }

  static func differing(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 10)
    try await place.driveToHead(tallies)
    // Somebody has changed a row, removed one and made one up.
    let good = try await place.serving(tallies.name)
    guard
      let leased = try await place.store.acquire(
        tallies.name, version: 1, owner: "vandal", for: .seconds(1), .whenFree),
      var forged = good["thing_1"], let lost = good["thing_2"]
    else { throw Violation(description: "no lease, or no rows") }
    forged.fields["count"] = 1000
    let invented = StoredRow(id: "invented", position: lost.position, fields: lost.fields)
    // A rebuild looks first whether a driver that died has left rows beyond its checkpoint; these
    // stand where they stood.
    try await place.store.drop(leased.progress.collection)
    let others = good.values.filter { $0.id != forged.id }
    try await place.store.write(others + [forged, invented], to: leased.progress.collection)
    try await place.store.release(leased.lease)

    let careful = RebuildSettings(grace: .zero, expectsSame: true)
    let refused = try await place.rebuild(tallies, settings: careful)
    let expected = [
      RowDifference(id: "invented", kind: .onlyOld),
      RowDifference(id: "thing_1", kind: .fields(["count"])),
    ]
    try require(!refused.hasSwitched, "it has switched")
    try require(refused.differences == expected, "\(refused.differences)")
    let kept = try await place.serving(tallies.name)
    try require(kept["invented"] != nil, "the old rows do not serve")
    let shadow = ProjectionProgress.collection(tallies.name, refused.generation)
    let left = try await place.store.rows(of: shadow, after: nil, limit: 10)
    try require(left.isEmpty, "the refused rows are left")

    let result = try await place.rebuild(tallies)
    try require(result.hasSwitched && result.differences == expected, "\(result.differences)")
    try await place.requireFold(tallies)
  }
}
