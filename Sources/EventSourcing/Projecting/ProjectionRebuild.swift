import Synchronization

/// Rebuilds a read model from position 1 beside the serving one, compares the two, and switches.
///
/// The old rows serve and are kept up to date until the switch. For its last step the rebuild asks
/// for the projection's lease, so that the old rows stand still: the new ones are brought to the very
/// same position, what is not known to be the same is compared, and one update changes the pointer.
/// Then the driver goes on with the new rows. A rebuild that was killed goes on where it made its
/// last checkpoint.
public struct ProjectionRebuild<P: Projection>: Sendable {
  private static var leaseDuration: Duration { .seconds(5) }
  /// Longer than a lease lasts.
  private static var takeoverMax: Duration { .seconds(15) }

  private let projection: P
  private let log: any EventLog
  private let store: any ReadModelStore
  private let owner: LeaseOwner
  private let settings: RebuildSettings

  public init(
    _ projection: P, log: any EventLog, store: any ReadModelStore,
    process: LeaseProcess = .anonymous, settings: RebuildSettings = RebuildSettings()
  ) {
    self.projection = projection
    self.log = log
    self.store = store
    owner = process.newOwner()
    self.settings = settings
  }

  /// - Throws: ``RebuildFailure``, ``ProjectionPoisoned``, and the errors of log and store. The old
  ///   rows go on serving.
  public func run(
    report: @escaping @Sendable (RebuildProgress) -> Void = { _ in }
  ) async throws -> RebuildResult {
    let name = ProjectionProgress.rebuildName(of: projection.name)
    guard let leased = try await acquire(name, .whenFreeOrDead(owner.mayTakeFrom)) else {
      throw RebuildFailure.running(
        projection.name, owner: try await store.holder(of: name)?.owner ?? "another process")
    }
    let leases = HeldLeases(store: store, duration: Self.leaseDuration, first: leased.lease)
    do {
      let result = try await leases.whileKept {
        var run = RebuildRun(
          projection, log: log, store: store, leases: leases, mayTakeFrom: owner.mayTakeFrom,
          settings: settings, report: report)
        let (result, old) = try await run.carryOut(from: leased) { try await takeOver() }
        guard let old else { return result }
        guard result.hasSwitched else {
          try await store.drop(old)
          return result
        }
        // The lease is kept until the old rows are gone: who finds them without it drops them. The new
        // ones serve, whatever becomes of that.
        do {
          try await Task.sleep(for: settings.grace)
          try await store.drop(old)
        } catch {}
        return result
      }
      do { try await store.remove(leased.lease) } catch { try? await leases.releaseAll() }
      return result
    } catch {
      try? await leases.releaseAll()
      throw error
    }
  }

  /// The projection's own lease: its driver gives it up when it is asked, or is dead.
  private func takeOver() async throws -> LeasedProgress {
    let deadline = ContinuousClock.now + Self.takeoverMax
    var asked: ContinuousClock.Instant?
    while true {
      if asked.map({ .now - $0 > .seconds(1) }) ?? true {
        try await store.request(projection.name, by: owner.name)
        asked = .now
      }
      if let leased = try await acquire(projection.name, .whenFreeOrDead(owner.mayTakeFrom)) {
        return leased
      }
      guard .now < deadline else { throw RebuildFailure.notHandedOver(projection.name) }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  private func acquire(
    _ name: String, _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress? {
    try await store.acquire(
      name, version: projection.version, owner: owner.name, for: Self.leaseDuration, takeover)
  }
}

/// The leases that a rebuild holds: first that of the rebuild, at its end that of the projection.
final class HeldLeases: Sendable {
  private let store: any ReadModelStore
  let duration: Duration
  private let leases: Mutex<[Lease]>

  init(store: any ReadModelStore, duration: Duration, first: Lease) {
    self.store = store
    self.duration = duration
    leases = Mutex([first])
  }

  func add(_ lease: Lease) { leases.withLock { $0.append(lease) } }

  func release(_ lease: Lease) async throws {
    leases.withLock { $0.removeAll { $0 == lease } }
    try await store.release(lease)
  }

  func releaseAll() async throws {
    for lease in leases.withLock({ Array($0) }) { try await release(lease) }
  }

  /// Runs `body`, which is cancelled when one of the leases is lost.
  func whileKept<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        try await self.keep()
        return nil
      }
      defer { group.cancelAll() }
      while let done = try await group.next() { if let done { return done } }
      throw CancellationError()
    }
  }

  private func keep() async throws {
    while true {
      try await Task.sleep(for: duration / 5)
      for lease in leases.withLock({ Array($0) }) {
        let isHeld: Bool
        // A fault of the store is waited out: the lease may still be ours afterwards.
        do { isHeld = try await store.renew(lease, for: duration) } catch { continue }
        if !isHeld, leases.withLock({ $0.contains(lease) }) { throw LeaseLost() }
      }
    }
  }
}
