import EventSourcing
import Logging

extension ProjectionConformance {
  static func following(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 20)
    try await place.driveToHead(tallies)
    try await place.requireFold(tallies, "at first")
    try await TallyProjection.fill(place.log, commits: 20)
    try await place.driveToHead(tallies)
    try await place.requireFold(tallies, "later")
  }

  static func driverDies(_ place: Place) async throws {
    try await TallyProjection.fill(place.log, commits: 12)
    let head = try await place.log.head()
    var deaths = 0
    for operation in 1... {
      var isThrough = false
      for isDone in [false, true] {
        let tallies = TallyProjection(name: "tallies_\(operation)_\(isDone ? "a" : "b")")
        let dying = DyingReadModels(
          place.store, at: DyingReadModels.Point(operation: operation, isDone: isDone))
        let board = ProjectionBoard()
        try await place.drive(
          tallies, store: dying, board: board,
          process: LeaseProcess("dying") { _ in false }
        ) { dying.isDead || $0.progress(of: tallies.name)?.position == head }
        isThrough = !dying.isDead
        if !isThrough { deaths += 1 }
        try await place.driveToHead(tallies)
        try await place.requireFold(tallies, "died \(isDone ? "after" : "before") \(operation)")
      }
      if isThrough { break }
    }
    try require(deaths > 10, "only \(deaths) deaths")
  }

  static func twoDrivers(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 5)
    let stranger = LeaseProcess("stranger") { _ in false }
    let boards = [ProjectionBoard(), ProjectionBoard()]
    let drivers = boards.map { place.driver(tallies, board: $0, process: stranger) }
    let first = Task { try await drivers[0].run() }
    defer { first.cancel() }
    let head = try await place.log.head()
    let isFirst = try await place.poll { boards[0].progress(of: tallies.name)?.position == head }
    let second = Task { try await drivers[1].run() }
    defer { second.cancel() }
    let waits = try await place.poll {
      boards[1].status(of: tallies.name)?.activity == .standby
    }
    try require(isFirst && waits, "the second does not wait")
    try await TallyProjection.fill(place.log, commits: 5)
    let later = try await place.log.head()
    let isStillFirst = try await place.poll {
      boards[0].progress(of: tallies.name)?.position == later
    }
    try require(isStillFirst, "the first does not go on")
    try require(boards[1].progress(of: tallies.name) == nil, "the second drives as well")
    first.cancel()
    try await first.value
    try await TallyProjection.fill(place.log, commits: 5)
    let last = try await place.log.head()
    let takesOver = try await place.poll { boards[1].progress(of: tallies.name)?.position == last }
    try require(takesOver, "the second does not take over")
    second.cancel()
    try await second.value
    try await place.requireFold(tallies)
  }

  /// As if the process slept between the fold and the write, for longer than its lease.
  static func wokenDriver(_ place: Place) async throws {
    let tallies = TallyProjection()
    try await TallyProjection.fill(place.log, commits: 5)
    let sleeping = SleepingReadModels(place.store)
    let driver = place.driver(
      tallies, store: sleeping, board: ProjectionBoard(),
      process: LeaseProcess("sleeping") { _ in false })
    let running = Task { try await driver.run() }
    let sleeps = try await place.poll { sleeping.isAsleep }
    try require(sleeps, "nothing was written")
    // Somebody else takes over when the lease is over, and no sooner; the rows were not written yet.
    let begun = ContinuousClock.now
    let board = ProjectionBoard()
    let stranger = place.driver(
      tallies, board: board, process: LeaseProcess("stranger") { _ in false })
    let following = Task { try await stranger.run() }
    let head = try await place.log.head()
    let takesOver = try await place.poll { board.progress(of: tallies.name)?.position == head }
    try require(takesOver && ContinuousClock.now - begun < .seconds(5), "nobody took over in time")
    try await TallyProjection.fill(place.log, commits: 5)
    let later = try await place.log.head()
    let goesOn = try await place.poll { board.progress(of: tallies.name)?.position == later }
    following.cancel()
    try await following.value
    try require(goesOn, "the successor does not go on")
    // What it would write now must not even be tried: the rows are somebody else's, or gone.
    let progress = try await place.store.progress(of: tallies.name)
    try await place.store.drop(progress?.collection ?? "")
    sleeping.wake()
    let refused = try await place.poll { sleeping.refusals > 0 }
    running.cancel()
    try await running.value
    try require(refused, "the woken one was not refused")
    let rows = try await place.serving(tallies.name)
    try require(rows.isEmpty, "the woken one has written")
  }

  static func outdated(_ place: Place) async throws {
    try await TallyProjection.fill(place.log, commits: 5)
    let old = TallyProjection(version: 1)
    try await place.driveToHead(old)
    let rows = try await place.serving(old.name)
    let new = TallyProjection(version: 2)
    try await TallyProjection.fill(place.log, commits: 5)
    try await place.drive(new) { board in
      board.status(of: new.name)?.failure?.contains("version") ?? false
    }
    let kept = try await place.serving(new.name)
    try require(kept == rows, "rows of version 1 were folded on")
    _ = try await place.rebuild(new)
    let progress = try await place.store.progress(of: new.name)
    try require(progress?.version == 2, "\(String(describing: progress))")
    try await place.driveToHead(new)
    try await place.requireFold(new)
  }

  static func hotRows(_ place: Place) async throws {
    let tallies = TallyProjection()
    let board = ProjectionBoard()
    let reader = ReadModelReader(store: place.store, board: board)
    let driver = place.driver(tallies, board: board)
    let running = Task { try await driver.run() }
    var last = Position.start
    for _ in 1...30 {
      try await TallyProjection.fill(place.log, commits: 1)
      let head = try await place.log.head()
      for id in ["total", "thing_0", "total"] {
        let answer = try await reader.row(
          id, of: tallies.name, minimumPosition: head, waitMax: .seconds(10))
        try require(answer.position >= head, "\(answer.position) instead of \(head)")
        try require(answer.position >= last, "positions went back")
        last = answer.position
        let expected = try await tallies.expected(from: place.log, upTo: answer.position)[id]
        try require(
          answer.value == expected,
          "\(id) at \(answer.position): \(String(describing: answer.value))")
      }
    }
    running.cancel()
    try await running.value
    // Nobody drives any more: what was hot is not asked.
    try await TallyProjection.fill(place.log, commits: 3)
    try await place.driveToHead(tallies)
    let answer = try await reader.row(
      "total", of: tallies.name, minimumPosition: nil, waitMax: .zero)
    let head = try await place.log.head()
    try require(answer.position == head, "a hot row of position \(answer.position) was served")
  }
}
