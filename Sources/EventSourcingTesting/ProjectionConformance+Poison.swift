import EventSourcing

extension ProjectionConformance {
  /// A log with a poisonous commit of three events in the middle, of which each touches two rows.
  private static func poisoned(_ place: Place) async throws -> Position {
    try await TallyProjection.fill(place.log, commits: 20, poisonAt: 11)
    for commit in try await place.log.read(after: .start, limit: 1000) {
      if let event = commit.events.first(where: { $0.type == TallyProjection.poisonType }) {
        return event.position
      }
    }
    throw Violation(description: "there is no poison")
  }

  private static func context() -> CommitContext {
    CommitContext(commandID: .random(), timestamp: .now, serviceName: "tests")
  }

  private static func stopped(
    _ place: Place, _ tallies: TallyProjection, _ board: ProjectionBoard
  ) async throws -> Bool {
    try await place.store.progress(of: tallies.name)?.parked != nil
      && board.status(of: tallies.name)?.failure != nil
  }

  static func poison(_ place: Place) async throws {
    let bad = try await poisoned(place)
    let tallies = TallyProjection()
    try await place.drive(tallies) { try await stopped(place, tallies, $0) }
    let progress = try await place.store.progress(of: tallies.name)
    let before = Position(bad.rawValue - 1)
    try require(progress?.position == before, "stopped at \(String(describing: progress))")
    try require(
      progress?.parked?.position == bad && progress?.parked?.type == TallyProjection.poisonType
        && progress?.parked?.reason.contains("broken") ?? false,
      "parked: \(String(describing: progress?.parked))")
    let rows = try await place.serving(tallies.name)
    let expected = try await tallies.expected(from: place.log, upTo: before)
    try require(rows == expected, "\(rows) instead of \(expected)")
    // Started anew it stops at the same place, and has stopped since the same time.
    try await place.drive(tallies) { try await stopped(place, tallies, $0) }
    let again = try await place.store.progress(of: tallies.name)
    try require(again == progress, "\(String(describing: again))")
    do {
      _ = try await place.rebuild(TallyProjection(name: "others"))
      throw Violation(description: "a rebuild took the poison")
    } catch is ProjectionPoisoned {}
  }

  static func skipping(_ place: Place) async throws {
    let bad = try await poisoned(place)
    let tallies = TallyProjection()
    let operations = ProjectionOperations(log: place.log, store: place.store)
    let skipped: Set<Position> = [bad, bad + 1, bad + 2]
    try await place.drive(tallies) { board in
      guard try await stopped(place, tallies, board),
        let parked = try await place.store.progress(of: tallies.name)?.parked
      else { return board.progress(of: tallies.name)?.position == (try await place.log.head()) }
      for (position, reason) in [(parked.position + 1, "a mistake"), (parked.position, " ")] {
        do {
          _ = try await operations.skip(
            tallies.name, at: position, reason: reason, by: "ana", context: context())
          throw Violation(description: "skipped \(position) for '\(reason)'")
        } catch is ProjectionOperations.Refusal {}
      }
      _ = try await operations.skip(
        tallies.name, at: parked.position, reason: "broken by hand", by: "ana",
        context: context())
      _ = try await place.poll {
        try await place.store.progress(of: tallies.name)?.parked != parked
      }
      return false
    }
    let history = try await ProjectionOperations.history(of: tallies.name, in: place.log)
    try require(history.positions == skipped, "\(history.skipped)")
    try require(
      history.skipped.first?.reason == "broken by hand" && history.skipped.first?.by == "ana",
      "\(history.skipped)")
    try await place.requireFold(tallies, without: skipped, "live")
    let result = try await place.rebuild(tallies)
    try require(result.differenceCount == 0, "\(result.differences)")
    try await place.requireFold(tallies, without: skipped, "rebuilt")
    do {
      _ = try await operations.skip(
        tallies.name, at: bad, reason: "again", by: "ana", context: context())
      throw Violation(description: "skipped what runs")
    } catch is ProjectionOperations.Refusal {}
  }

  static func skippingTwice(_ place: Place) async throws {
    let bad = try await poisoned(place)
    let tallies = TallyProjection()
    try await place.drive(tallies) { try await stopped(place, tallies, $0) }
    let operations = ProjectionOperations(log: place.log, store: place.store)
    let first = try await operations.skip(
      tallies.name, at: bad, reason: "broken", by: "ana", context: context())
    let second = try await operations.skip(
      tallies.name, at: bad, reason: "broken, again", by: "ana", context: context())
    let history = try await ProjectionOperations.history(of: tallies.name, in: place.log)
    try require(
      first == second && history.version == Version(1), "\(first), \(second), \(history)")
  }

  static func skippingBeside(_ place: Place) async throws {
    let bad = try await poisoned(place)
    let skipped: Set<Position> = [bad, bad + 1, bad + 2]
    let tallies = TallyProjection()
    let operations = ProjectionOperations(log: place.log, store: place.store)
    // The driver has come to the end before the rebuild looks at its rows.
    let acting = ActingReadModels(place.store) {
      let isThere = try await place.poll {
        let progress = try await place.store.progress(of: tallies.name)
        if let parked = progress?.parked {
          do {
            _ = try await operations.skip(
              tallies.name, at: parked.position, reason: "broken", by: "ana", context: context())
          } catch is ProjectionOperations.Refusal {
            // It has gone on since it was looked at.
          }
        }
        return progress?.position == (try await place.log.head())
      }
      try require(isThere, "the driver does not go on")
    }
    let driver = place.driver(
      tallies, board: ProjectionBoard(), process: LeaseProcess("driver") { _ in false })
    let running = Task { try await driver.run() }
    let isStopped = try await place.poll {
      try await place.store.progress(of: tallies.name)?.parked?.position == bad
    }
    try require(isStopped, "the driver takes poison")
    let result = try await place.rebuild(
      tallies, store: acting, process: LeaseProcess("rebuild") { _ in false },
      settings: RebuildSettings(grace: .zero, expectsSame: true))
    running.cancel()
    try await running.value
    try require(result.hasSwitched && result.wasCompared, "\(result)")
    try await place.requireFold(tallies, without: skipped)
  }

  static func resuming(_ place: Place) async throws {
    _ = try await poisoned(place)
    let tallies = TallyProjection()
    try await place.drive(tallies) { try await stopped(place, tallies, $0) }
    // The next program can apply it, and goes on by itself.
    let mended = TallyProjection(takesPoison: true)
    try await place.driveToHead(mended)
    try await place.requireFold(mended)
    let operations = ProjectionOperations(log: place.log, store: place.store)
    do {
      _ = try await operations.resume(
        tallies.name, reason: "it runs", by: "ana", context: context())
      throw Violation(description: "resumed what runs")
    } catch is ProjectionOperations.Refusal {}
  }
}
