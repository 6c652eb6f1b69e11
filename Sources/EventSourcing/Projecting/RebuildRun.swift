/// One run of a rebuild, step by step; see ``ProjectionRebuild``.
struct RebuildRun<P: Projection> {
  /// Rows that may be compared while the old ones stand still: it takes milliseconds.
  private static var openRowsMax: Int { 500 }
  private static var roundsMax: Int { 8 }
  private static var driverPause: Duration { .milliseconds(250) }
  /// A driver that has not moved for so long will not come to where the new rows stand.
  private static var driverPatience: Duration { .seconds(5) }
  private static var pageMax: Int { 500 }

  private let projection: P
  private let log: any EventLog
  private let store: any ReadModelStore
  private let leases: HeldLeases
  private let mayTakeFrom: @Sendable (_ owner: String) -> Bool
  private let settings: RebuildSettings
  private let report: @Sendable (RebuildProgress) -> Void
  private let started = ContinuousClock.now

  /// Rows that are not known to be the same in both collections.
  private var open: Set<String> = []
  private var differences: [RowDifference] = []
  /// Beyond those that are named.
  private var furtherDifferences = 0
  private var differenceCount: Int { differences.count + furtherDifferences }
  /// Whether every row was looked at while both sides stood at one position.
  private var wasCompared = false

  init(
    _ projection: P, log: any EventLog, store: any ReadModelStore, leases: HeldLeases,
    mayTakeFrom: @escaping @Sendable (_ owner: String) -> Bool, settings: RebuildSettings,
    report: @escaping @Sendable (RebuildProgress) -> Void
  ) {
    self.projection = projection
    self.log = log
    self.store = store
    self.leases = leases
    self.mayTakeFrom = mayTakeFrom
    self.settings = settings
    self.report = report
  }

  /// Answers what was done, and which collection is to be dropped.
  mutating func carryOut(
    from leased: LeasedProgress, takeOver: () async throws -> LeasedProgress
  ) async throws -> (RebuildResult, dropping: String?) {
    let serving = try await servingProgress()
    let holder = try await store.holder(of: projection.name)
    let isDriven = holder.map { !$0.isExpired && !mayTakeFrom($0.owner) } ?? false
    var built = try await begin(leased, beside: serving, takeOver)
    var shadow = ShadowRows(
      projection, log: log, store: store, collection: built.collection,
      skipped: try await ProjectionOperations.history(of: projection.name, in: log).positions,
      from: built.position, settings)
    let pace = LivePace(of: projection.name, log: log, store: store)
    if isDriven { shadow.livePace = pace }
    if built.position > .start { try await shadow.readKnownIDs() }

    // Where nothing serves there is nothing to compare with on the way.
    let target = serving.position == .start ? try await log.head() : serving.position
    // Some rows of a rebuild that was killed may be that far already.
    try await fold(
      &shadow, to: max(target, built.reached ?? .start), &built, lease: leased.lease)
    var comparedAt: Position?
    if !isDriven, serving.position > .start {
      // Nobody brings the old rows to the end: they are compared where they stand, and indexes come
      // behind all that is left to fold.
      comparedAt = try await compareStanding(
        &shadow, serving, &built, lease: leased.lease, takeOver)
      try await fold(&shadow, to: try await log.head(), &built, lease: leased.lease)
    }
    try await shadow.flush()
    note(.indexing, shadow)
    try await store.prepare(built.collection, indexes: projection.indexes)
    // By now somebody may drive what did not exist at first.
    let isComparable = try await servingProgress().position > .start
    var hasCompared = false
    if isComparable, comparedAt == nil {
      hasCompared = try await compare(&shadow, with: serving, &built, lease: leased.lease)
    }

    note(.switching, shadow)
    shadow.livePace = nil
    var (seized, still) = try await standStill(beside: serving, leased.lease, takeOver)
    if let position = comparedAt, position != still.position {
      // Somebody has begun to drive since.
      comparedAt = nil
      try await leases.release(seized)
      shadow.livePace = pace
      hasCompared = try await compare(&shadow, with: serving, &built, lease: leased.lease)
      shadow.livePace = nil
      (seized, still) = try await standStill(beside: serving, leased.lease, takeOver)
    }
    try await readSkips(&shadow)
    try await fold(&shadow, to: still.position, &built, lease: leased.lease)
    try await shadow.flush()
    if isComparable, comparedAt == nil {
      if shadow.position == still.position {
        if !hasCompared { try await compareAll(still, built) }
        try await settle(shadow.takeTouched(), still, built, isLast: true)
      } else if settings.expectsSame {
        throw RebuildFailure.notComparable(projection.name)
      }
    }
    if settings.expectsSame, differenceCount > 0 {
      try await leases.release(seized)
      built.position = .start
      try await claim(built, leased.lease)
      return (result(built, shadow, hasSwitched: false), built.collection)
    }
    try Task.checkCancellation()
    if !isDriven {
      // Nobody waits for the old rows, and nobody else would bring the new ones to the end.
      try await fold(&shadow, to: try await log.head(), &built, lease: leased.lease)
      try await shadow.flush()
    }
    // Where nothing served the new rows may be ahead of what somebody has just begun.
    var switched = ProjectionProgress(
      projection: projection.name, generation: built.generation, version: projection.version,
      position: shadow.position, replaced: serving.generation, isSettled: true)
    if switched.position == still.position {
      (switched.failure, switched.parked) = (still.failure, still.parked)
    }
    try await replace(serving, by: switched, holding: seized)
    let result = result(built, shadow, hasSwitched: true)
    // From here on nothing fails any more: the lease ends by itself.
    try? await leases.release(seized)
    return (result, serving.collection)
  }

  /// The one update that has the new rows serve.
  private func replace(
    _ serving: ProjectionProgress, by switched: ProjectionProgress, holding lease: Lease
  ) async throws {
    let state: LeaseState
    do {
      state = try await store.save(switched, holding: lease, for: leases.duration)
    } catch {
      // It may have been done nevertheless.
      let now = try? await store.progress(of: projection.name)
      guard now?.generation == switched.generation else { throw error }
      return
    }
    if state == .lost { throw RebuildFailure.overtaken(projection.name) }
  }

  /// Takes the projection's own lease, and brings the old rows to a position that all of them stand
  /// at: a driver that died may have written rows beyond its checkpoint. One that has ended in peace
  /// has left nothing to do.
  private func standStill(
    beside serving: ProjectionProgress, _ own: Lease,
    _ takeOver: () async throws -> LeasedProgress
  ) async throws -> (Lease, ProjectionProgress) {
    try Task.checkCancellation()
    let asked = ContinuousClock.now
    let seized = try await takeOver()
    leases.add(seized.lease)
    // Still this rebuild's turn. Who takes it from now on takes the projection's lease as well before
    // it drops anything: see `begin`.
    guard try await store.renew(own, for: leases.duration) else { throw LeaseLost() }
    let progress = seized.progress
    guard progress.generation == serving.generation else {
      throw RebuildFailure.overtaken(projection.name)
    }
    guard !progress.isSettled, progress.position > .start, !isOtherFold(progress) else {
      return (seized.lease, progress)
    }
    var session = DrivingSession(
      projection, leased: seized, acquired: asked, store: store, board: ProjectionBoard())
    try await session.begin(log: log)
    while session.isUnsettled {
      let commits = try await log.read(after: session.progress.position, limit: 1000)
      let batch = ProjectionPace.batch(of: commits)
      if batch.isEmpty { session.reachEnd() }
      if try await session.apply(batch.flatMap(\.events)) != nil { break }
    }
    try await session.settle()
    return (seized.lease, session.progress)
  }

  private func servingProgress() async throws -> ProjectionProgress {
    if let progress = try await store.progress(of: projection.name) { return progress }
    let first = try await store.acquire(
      projection.name, version: projection.version, owner: "", for: .zero, .whenFree)
    return first?.progress
      ?? ProjectionProgress(
        projection: projection.name, generation: 1, version: projection.version, position: .start)
  }

  /// An operator may have had the serving rows leave something out meanwhile.
  private func readSkips(_ shadow: inout ShadowRows<P>) async throws {
    shadow.skipped = try await ProjectionOperations.history(of: projection.name, in: log).positions
  }

  /// Rows that another fold has made are expected to differ, at any position.
  private func isOtherFold(_ serving: ProjectionProgress) -> Bool {
    serving.version != projection.version
  }

  /// The progress to go on from: that of a rebuild that was killed, or a new one.
  private func begin(
    _ leased: LeasedProgress, beside serving: ProjectionProgress,
    _ takeOver: () async throws -> LeasedProgress
  ) async throws -> ProjectionProgress {
    let left = leased.progress
    // Those that are ahead of the old ones cannot be compared with them.
    let isComparable =
      max(left.position, left.reached ?? .start) <= serving.position
      || serving.position == .start || !settings.expectsSame
    if left.generation > serving.generation, left.version == projection.version,
      left.position > .start, isComparable
    {
      return left
    }
    // A generation that nobody ever used, claimed before anything is touched: one who was paused and
    // wakes up can neither mix with it nor drop it.
    let new = ProjectionProgress(
      projection: left.projection, generation: max(serving.generation, left.generation) + 1,
      version: projection.version, position: .start)
    try await claim(new, leased.lease)
    if left.generation > serving.generation {
      // Whoever made it may be about to switch to it: not any more.
      let seized = try await takeOver()
      try await store.release(seized.lease)
      try await store.drop(left.collection)
    }
    if let old = serving.replacedCollection { try await store.drop(old) }
    return new
  }

  /// From here on nobody goes on with what was built before.
  private func claim(_ progress: ProjectionProgress, _ lease: Lease) async throws {
    guard try await store.save(progress, holding: lease, for: leases.duration) != .lost else {
      throw LeaseLost()
    }
  }

  private func fold(
    _ shadow: inout ShadowRows<P>, to target: Position, _ built: inout ProjectionProgress,
    lease: Lease
  ) async throws {
    let start = built.position
    let head = max(try await log.head(), target)
    let (report, name, started) = (report, projection.name, started)
    let (store, duration) = (store, leases.duration)
    if target > max(built.position, built.reached ?? .start) {
      built.reached = target
      try await claim(built, lease)
    }
    var reached = built
    try await shadow.fold(to: target) { position in
      report(
        RebuildProgress(
          projection: name, phase: .folding, position: position, head: head, start: start,
          elapsed: .now - started))
    } checkpoint: { position in
      reached.position = position
      guard try await store.save(reached, holding: lease, for: duration) != .lost else {
        throw LeaseLost()
      }
    }
    built = reached
  }

  private func note(_ phase: RebuildProgress.Phase, _ shadow: ShadowRows<P>) {
    report(
      RebuildProgress(
        projection: projection.name, phase: phase, position: shadow.position,
        head: shadow.position, start: .start, elapsed: .now - started))
  }

  /// Compares with old rows that nobody drives. Answers where they stand; nil when the new ones are
  /// ahead of them.
  private mutating func compareStanding(
    _ shadow: inout ShadowRows<P>, _ serving: ProjectionProgress,
    _ built: inout ProjectionProgress, lease: Lease,
    _ takeOver: () async throws -> LeasedProgress
  ) async throws -> Position? {
    let (seized, still) = try await standStill(beside: serving, lease, takeOver)
    // Should somebody begin to drive them, they stand elsewhere at the switch.
    try await leases.release(seized)
    try await readSkips(&shadow)
    try await fold(&shadow, to: still.position, &built, lease: lease)
    guard shadow.position == still.position else { return nil }
    try await shadow.flush()
    note(.comparing, shadow)
    try await compareAll(serving, built)
    try await settle([], serving, built, isLast: true)
    return still.position
  }

  private mutating func compareAll(
    _ serving: ProjectionProgress, _ built: ProjectionProgress
  ) async throws {
    forgetComparison()
    let comparison = try await store.compare(serving.collection, with: built.collection)
    furtherDifferences =
      comparison.differentCount - comparison.different.count + comparison.unsettledCount
      - comparison.unsettled.count
    open = Set(comparison.unsettled).union(comparison.different)
  }

  /// Compares all rows once; then follows the serving rows, and looks again at those that were not
  /// the same or have been touched since, until they are few. Answers whether it has; rows of another
  /// fold, and rows that do not come as far as the new ones, cannot be compared before they stand
  /// still.
  private mutating func compare(
    _ shadow: inout ShadowRows<P>, with serving: ProjectionProgress,
    _ built: inout ProjectionProgress, lease: Lease
  ) async throws -> Bool {
    note(.comparing, shadow)
    forgetComparison()
    guard try await oldRows(of: serving, reach: shadow.position) else { return false }
    guard try await !isOtherFold(currentProgress(of: serving)) else { return false }
    shadow.beginNoting()
    try await compareAll(serving, built)
    for _ in 1...Self.roundsMax {
      let now = try await currentProgress(of: serving)
      try await readSkips(&shadow)
      try await fold(&shadow, to: now.position, &built, lease: lease)
      try await shadow.flush()
      note(.comparing, shadow)
      try await settle(shadow.takeTouched(), serving, built, isLast: false)
      if open.count <= Self.openRowsMax { break }
    }
    return true
  }

  private mutating func forgetComparison() {
    (open, differences, furtherDifferences, wasCompared) = ([], [], 0, false)
  }

  /// Whether the old rows come to a position: a rebuild that began when nothing served may be ahead of
  /// a driver that has begun since.
  private func oldRows(
    of serving: ProjectionProgress, reach position: Position
  ) async throws -> Bool {
    var last = try await currentProgress(of: serving).position
    var moved = ContinuousClock.now
    while last < position {
      guard .now - moved < Self.driverPatience else { return false }
      try await Task.sleep(for: Self.driverPause)
      let now = try await currentProgress(of: serving).position
      if now > last { (last, moved) = (now, .now) }
    }
    return true
  }

  /// - Throws: ``RebuildFailure/overtaken(_:)`` when other rows serve.
  private func currentProgress(
    of serving: ProjectionProgress
  ) async throws -> ProjectionProgress {
    guard let now = try await store.progress(of: projection.name),
      now.generation == serving.generation
    else { throw RebuildFailure.overtaken(projection.name) }
    return now
  }

  /// Looks at the rows that are not known to be the same, and at those that were touched. The last
  /// time, with both sides at one position, every row that is not the same is a difference.
  private mutating func settle(
    _ touched: Set<String>, _ old: ProjectionProgress, _ new: ProjectionProgress, isLast: Bool
  ) async throws {
    let ids = open.union(touched).sorted()
    open = []
    wasCompared = isLast
    for start in stride(from: 0, to: ids.count, by: Self.pageMax) {
      let page = Array(ids[start..<min(start + Self.pageMax, ids.count)])
      let olds = try await store.load(page, from: old.collection)
      let news = try await store.load(page, from: new.collection)
      for id in page {
        guard let difference = RowDifference(olds[id], news[id]) else { continue }
        if !isLast {
          open.insert(id)
        } else if differences.count < RowComparison.idsMax {
          differences.append(difference)
        } else {
          furtherDifferences += 1
        }
      }
    }
  }

  private func result(
    _ built: ProjectionProgress, _ shadow: ShadowRows<P>, hasSwitched: Bool
  ) -> RebuildResult {
    RebuildResult(
      projection: projection.name, generation: built.generation,
      events: shadow.position.rawValue, rows: shadow.count, differences: differences,
      differenceCount: differenceCount, wasCompared: wasCompared, hasSwitched: hasSwitched,
      duration: .now - started)
  }
}
