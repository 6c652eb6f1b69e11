/// One run of a rebuild, step by step; see ``ProjectionRebuild``.
struct RebuildRun<P: Projection> {
  /// Rows that may be compared while the old ones stand still: it takes milliseconds.
  private static var openRowsMax: Int { 500 }
  private static var roundsMax: Int { 8 }
  private static var pageMax: Int { 500 }

  private let projection: P
  private let log: any EventLog
  private let store: any ReadModelStore
  private let leases: HeldLeases
  private let settings: RebuildSettings
  private let report: @Sendable (RebuildProgress) -> Void
  private let started = ContinuousClock.now

  /// Rows that are not known to be the same in both collections.
  private var open: Set<String> = []
  private var differences: [RowDifference] = []
  /// Beyond those that are named.
  private var furtherDifferences = 0

  init(
    _ projection: P, log: any EventLog, store: any ReadModelStore, leases: HeldLeases,
    settings: RebuildSettings, report: @escaping @Sendable (RebuildProgress) -> Void
  ) {
    self.projection = projection
    self.log = log
    self.store = store
    self.leases = leases
    self.settings = settings
    self.report = report
  }

  /// Answers what was done and which collection is to be dropped.
  mutating func carryOut(
    from leased: LeasedProgress, seize: () async throws -> LeasedProgress?
  ) async throws -> (RebuildResult, dropping: String?) {
    let serving = try await servingProgress()
    var built = try await begin(leased, beside: serving)
    var shadow = ShadowRows(
      projection, log: log, store: store, collection: built.collection,
      skipped: try await ProjectionOperations.history(of: projection.name, in: log).positions,
      from: built.position, settings)
    if built.position > .start { try await shadow.readKnownIDs() }

    // Where nothing serves and nobody drives there is nothing to compare with on the way.
    let isDriven = try await isDriven()
    let target =
      serving.position == .start && !isDriven ? try await log.head() : serving.position
    try await fold(&shadow, to: target, &built, lease: leased.lease)
    try await shadow.flush()
    note(.indexing, shadow)
    try await store.prepare(built.collection, indexes: projection.indexes)
    if serving.position > .start {
      try await compare(&shadow, with: serving, &built, lease: leased.lease)
    }

    note(.switching, shadow)
    guard let seized = try await seize() else { throw RebuildFailure.overtaken(projection.name) }
    leases.add(seized.lease)
    guard seized.progress.generation == serving.generation else {
      throw RebuildFailure.overtaken(projection.name)
    }
    try await fold(&shadow, to: seized.progress.position, &built, lease: leased.lease)
    try await shadow.flush()
    if serving.position > .start, shadow.position == seized.progress.position {
      try await settle(shadow.takeTouched(), seized.progress, built, isLast: true)
    }
    if settings.expectsSame, !differences.isEmpty {
      try await leases.release(seized.lease)
      return (result(built, shadow, hasSwitched: false), built.collection)
    }
    if !isDriven {
      try await fold(&shadow, to: try await log.head(), &built, lease: leased.lease)
      try await shadow.flush()
    }
    let flipped = ProjectionProgress(
      projection: projection.name, generation: built.generation, version: projection.version,
      position: shadow.position, failure: isDriven ? seized.progress.failure : nil,
      parked: isDriven ? seized.progress.parked : nil)
    guard
      try await store.commit([], flipped, holding: seized.lease, for: leases.duration)
    else { throw RebuildFailure.overtaken(projection.name) }
    let result = result(built, shadow, hasSwitched: true)
    try await leases.release(seized.lease)
    return (result, serving.collection)
  }

  private func servingProgress() async throws -> ProjectionProgress {
    if let progress = try await store.progress(of: projection.name) { return progress }
    let first = try await store.acquire(
      projection.name, version: projection.version, owner: "", for: .zero, .whenFree)
    return first?.progress
      ?? ProjectionProgress(
        projection: projection.name, generation: 1, version: projection.version, position: .start)
  }

  /// Whether some process keeps the serving rows up to date.
  private func isDriven() async throws -> Bool {
    try await store.holder(of: projection.name).map { !$0.isExpired } ?? false
  }

  /// The progress to go on from: that of a rebuild that was killed, or a new one.
  private func begin(
    _ leased: LeasedProgress, beside serving: ProjectionProgress
  ) async throws -> ProjectionProgress {
    let left = leased.progress
    let generation = serving.generation + 1
    if left.generation == generation, left.version == projection.version, left.position > .start {
      return left
    }
    if left.generation > generation { try await store.drop(left.collection) }
    // One that has switched has not come to dropping the rows that it replaced.
    if left.generation == serving.generation, serving.generation > 1 {
      try await store.drop(
        ProjectionProgress.collection(projection.name, serving.generation - 1))
    }
    let new = ProjectionProgress(
      projection: left.projection, generation: generation, version: projection.version,
      position: .start)
    try await store.drop(new.collection)
    guard try await store.commit([], new, holding: leased.lease, for: leases.duration) else {
      throw LeaseLost()
    }
    return new
  }

  private func fold(
    _ shadow: inout ShadowRows<P>, to target: Position, _ built: inout ProjectionProgress,
    lease: Lease
  ) async throws {
    let start = built.position
    let head = max(try await log.head(), target)
    let (report, name, started) = (report, projection.name, started)
    let (store, duration) = (store, leases.duration)
    var reached = built
    try await shadow.fold(to: target) { position in
      report(
        RebuildProgress(
          projection: name, phase: .folding, position: position, head: head, start: start,
          elapsed: .now - started))
    } checkpoint: { position in
      reached.position = position
      guard try await store.commit([], reached, holding: lease, for: duration) else {
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

  /// Compares all rows once; then follows the serving rows, and looks again at those that were not
  /// the same or have been touched since, until they are few.
  private mutating func compare(
    _ shadow: inout ShadowRows<P>, with serving: ProjectionProgress,
    _ built: inout ProjectionProgress, lease: Lease
  ) async throws {
    note(.comparing, shadow)
    shadow.beginNoting()
    let comparison = try await store.compare(serving.collection, with: built.collection)
    open = Set(comparison.unsettled).union(comparison.different)
    furtherDifferences = comparison.differentCount - comparison.different.count
    for _ in 1...Self.roundsMax {
      guard let now = try await store.progress(of: projection.name),
        now.generation == serving.generation
      else { throw RebuildFailure.overtaken(projection.name) }
      try await fold(&shadow, to: now.position, &built, lease: lease)
      try await shadow.flush()
      note(.comparing, shadow)
      try await settle(shadow.takeTouched(), serving, built, isLast: false)
      if open.count <= Self.openRowsMax { return }
    }
  }

  /// Looks at the rows that are not known to be the same, and at those that were touched. The last
  /// time, with both sides at one position, every row that is not the same is a difference.
  private mutating func settle(
    _ touched: Set<String>, _ old: ProjectionProgress, _ new: ProjectionProgress, isLast: Bool
  ) async throws {
    let ids = open.union(touched).sorted()
    open = []
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
      differenceCount: differences.count + furtherDifferences, hasSwitched: hasSwitched,
      duration: .now - started)
  }
}
