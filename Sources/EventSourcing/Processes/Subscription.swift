import Logging
import ServiceLifecycle
import Synchronization

/// Everything in the log after a checkpoint, in order per key and in parallel across keys, each
/// event handled at least once.
///
/// A handler that throws is called again, with backoff, until it succeeds: its key waits, the
/// others go on. The checkpoint is the position up to which everything is done.
///
/// Of all processes that run it one does the work, when it holds a lease: another takes over when
/// that one dies. The lease spares work, it is not what makes the work right: for a moment there may
/// be two, and what they do has command ids.
public final class Subscription: Service {
  /// What is left to do of an event when its key's next events may be handled already. It is
  /// repeated until it succeeds; no checkpoint passes the event before.
  public typealias Remainder = @Sendable () async throws -> Void
  public typealias Handle = @Sendable (Recorded) async throws -> Remainder?

  /// What is done between taking a subscription over and giving it up.
  public struct Session: Sendable {
    /// Nil for events that are none of this subscription's business.
    public let key: @Sendable (Recorded) -> String?
    public let handle: Handle
    /// Runs beside; ends when cancelled.
    public let companion: @Sendable () async -> Void

    public init(
      key: @escaping @Sendable (Recorded) -> String?, handle: @escaping Handle,
      companion: @escaping @Sendable () async -> Void = {}
    ) {
      self.key = key
      self.handle = handle
      self.companion = companion
    }
  }

  /// Begins to work after a position: all events from there on will come.
  public typealias Begin = @Sendable (Position) async throws -> Session

  /// Commits that are read at a time.
  private static let pageMax = 500
  /// A lane's pause between two events while there are many requests: short enough that what was
  /// begun goes on.
  private static let pauseMax: Duration = .milliseconds(100)
  private static let savePause: Duration = .milliseconds(250)

  public let name: String
  private let log: any EventLog
  private let checkpoints: any ReadModelStore
  private let begin: Begin
  private let logger: Logger
  private let outstandingMax: Int
  private let lanesMax: Int
  /// Nil: it works without a lease.
  private let owner: LeaseOwner?
  private let state: Mutex<SubscriptionWindow>
  private let works = Mutex(false)
  private let begins: @Sendable (Recorded) -> Bool
  private let lanes: Mutex<Lanes>

  /// A key with events to handle, and whether they are a beginning.
  private struct Lane {
    var first: Recorded
    var key: String
    var isBeginning: Bool
  }

  /// Keys with events to handle: some at work, the others in line. What has begun goes before what
  /// begins: when more begins than can be ended, a few wait long, and not all of them at each step.
  private struct Lanes {
    let lanesMax: Int
    /// So many of them, at most, for what begins.
    let beginningsMax: Int
    var running = 0
    var runningBeginnings = 0
    var begun = 0
    var waiting = Line()
    var beginnings = Line()

    struct Line {
      private var lanes: [Lane] = []
      private var taken = 0

      var count: Int { lanes.count - taken }

      mutating func append(_ lane: Lane) { lanes.append(lane) }

      mutating func popFirst() -> Lane? {
        guard count > 0 else { return nil }
        let lane = lanes[taken]
        taken += 1
        if taken == lanes.count || taken > 1024, taken * 2 > lanes.count {
          lanes.removeFirst(taken)
          taken = 0
        }
        return lane
      }
    }

    init(lanesMax: Int) {
      self.lanesMax = lanesMax
      beginningsMax = max(1, lanesMax / 4)
    }

    /// True when a worker is to be started for it; otherwise it stands in line.
    mutating func enter(_ lane: Lane) -> Bool {
      let hasPlace = !lane.isBeginning || runningBeginnings < beginningsMax
      guard running < lanesMax, hasPlace else {
        if lane.isBeginning { beginnings.append(lane) } else { waiting.append(lane) }
        return false
      }
      running += 1
      if lane.isBeginning { begin() }
      return true
    }

    /// The next one in line, for a worker that is through with its own.
    mutating func next(after lane: Lane) -> Lane? {
      if lane.isBeginning { runningBeginnings -= 1 }
      if let next = waiting.popFirst() { return next }
      if runningBeginnings < beginningsMax, let next = beginnings.popFirst() {
        begin()
        return next
      }
      running -= 1
      return nil
    }

    private mutating func begin() {
      runningBeginnings += 1
      begun += 1
    }
  }

  /// - Parameters:
  ///   - process: where the lease is held; nil: it works without one.
  ///   - outstandingMax: events read and not yet handled, at most; reading waits beyond it.
  ///   - lanesMax: keys that are worked on at the same time, at most.
  ///   - begins: whether something begins with an event; it waits while there is much to go on with.
  public init(
    name: String, log: any EventLog, checkpoints: any ReadModelStore, logger: Logger,
    process: LeaseProcess? = nil, outstandingMax: Int = 4096, lanesMax: Int = 256,
    begins: @escaping @Sendable (Recorded) -> Bool = { _ in false }, begin: @escaping Begin
  ) {
    self.name = name
    self.log = log
    self.checkpoints = checkpoints
    self.begin = begin
    self.logger = logger
    self.outstandingMax = outstandingMax
    self.begins = begins
    self.lanesMax = lanesMax
    owner = process?.newOwner()
    lanes = Mutex(Lanes(lanesMax: lanesMax))
    self.state = Mutex(SubscriptionWindow(from: .start))
  }

  /// The same with nothing to begin, and nothing to leave for later.
  public convenience init(
    name: String, log: any EventLog, checkpoints: any ReadModelStore, logger: Logger,
    process: LeaseProcess? = nil, outstandingMax: Int = 4096, lanesMax: Int = 256,
    key: @escaping @Sendable (Recorded) -> String?,
    begins: @escaping @Sendable (Recorded) -> Bool = { _ in false },
    handle: @escaping @Sendable (Recorded) async throws -> Void
  ) {
    self.init(
      name: name, log: log, checkpoints: checkpoints, logger: logger, process: process,
      outstandingMax: outstandingMax, lanesMax: lanesMax, begins: begins
    ) { _ in
      Session(
        key: key,
        handle: { event in
          try await handle(event)
          return nil
        })
    }
  }

  /// Up to where everything is handled, and how many events are read but not yet handled.
  public var progress: (checkpoint: Position, outstanding: Int) {
    state.withLock { ($0.checkpoint, $0.outstanding) }
  }

  /// Whether this process does the work, and no other.
  public var isWorking: Bool { works.withLock { $0 } }

  /// How many have begun since the work was taken over, and how many wait for their beginning.
  public var beginnings: (begun: Int, waiting: Int) {
    lanes.withLock { ($0.begun, $0.beginnings.count) }
  }

  /// Runs until cancelled or told to shut down. Faults of the log are waited out.
  public func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      var failures = 0
      while !Task.isCancelled {
        do {
          guard let lease = try await takeLease() else { continue }
          try await work(under: lease)
          failures = 0
        } catch is LeaseLost {
          logger.notice("another process works on this subscription now: \(name)")
        } catch {
          failures += 1
          await pause(failures, after: error)
        }
      }
    }
  }

  // MARK: The lease

  /// Where to begin, and the lease that allows it, if one is needed; nil after a while in which
  /// somebody else has held it.
  private func takeLease() async throws -> SubscriptionLease? {
    let plain = try await checkpoints.checkpoint(of: name)
    guard let owner else { return SubscriptionLease(start: plain, leased: nil) }
    let leased = try await checkpoints.acquire(
      name, version: 1, owner: owner.name, for: ProjectionLease.duration,
      .whenFreeOrDead(owner.mayTakeFrom))
    guard let leased else {
      try await Task.sleep(for: ProjectionLease.standbyPause)
      return nil
    }
    // Read again: who held it before may have saved in between.
    let saved = try await checkpoints.checkpoint(of: name)
    return SubscriptionLease(start: max(saved, plain), leased: leased)
  }

  private func work(under lease: SubscriptionLease) async throws {
    state.withLock { $0 = SubscriptionWindow(from: lease.start) }
    lanes.withLock { $0 = Lanes(lanesMax: lanesMax) }
    let session = try await begin(lease.start)
    works.withLock { $0 = true }
    defer { works.withLock { $0 = false } }
    let isHeld = await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        await session.companion()
        return true
      }
      group.addTask {
        await withDiscardingTaskGroup { lanes in
          await self.read(session, &lanes)
          lanes.cancelAll()
        }
        return true
      }
      group.addTask { await self.saveCheckpoints(from: lease) }
      var isHeld = true
      while let isStillHeld = await group.next() {
        guard !isStillHeld else { continue }
        isHeld = false
        group.cancelAll()
      }
      return isHeld
    }
    guard isHeld else { throw LeaseLost() }
    try? await checkpoints.saveCheckpoint(progress.checkpoint, of: name)
    if let held = lease.leased?.lease { try? await checkpoints.release(held) }
  }

  /// Returns when cancelled, and false when the lease is lost.
  private func saveCheckpoints(from lease: SubscriptionLease) async -> Bool {
    var saved = lease.start
    var renewed = ContinuousClock.now
    var renewAt = ProjectionLease.nextRenewal
    while !Task.isCancelled {
      let before = progress
      let isAtRest = before.outstanding == 0 && before.checkpoint <= saved
      let soon = ContinuousClock.now + Self.savePause
      try? await Task.sleep(until: isAtRest ? renewAt : min(soon, renewAt), clock: .continuous)
      let checkpoint = progress.checkpoint
      do {
        if .now >= renewAt {
          let (now, next) = (ContinuousClock.now, ProjectionLease.nextRenewal)
          if let held = lease.leased?.lease {
            guard try await checkpoints.renew(held, for: ProjectionLease.duration) else {
              return false
            }
          }
          (renewed, renewAt) = (now, next)
        }
        guard checkpoint > saved else { continue }
        CrashPoint.pass("before a checkpoint")
        try await checkpoints.saveCheckpoint(checkpoint, of: name)
        CrashPoint.pass("after a checkpoint")
        saved = checkpoint
      } catch {
        if lease.leased != nil, .now - renewed >= ProjectionLease.duration { return false }
        await pause(1, after: error)
      }
    }
    return true
  }

  // MARK: Events

  private func read(_ session: Session, _ group: inout DiscardingTaskGroup) async {
    var attempt = 0
    var isBehind = true
    while !Task.isCancelled {
      let (from, outstanding) = state.withLock { ($0.readThrough, $0.outstanding) }
      guard outstanding < outstandingMax else {
        try? await Task.sleep(for: .milliseconds(5))
        continue
      }
      do {
        // Who has come to the end need not ask the database to know that.
        if !isBehind, await !log.waitForEvents(after: from, timeout: .seconds(1)) { continue }
        let commits = try await log.read(after: from, limit: Self.pageMax)
        attempt = 0
        isBehind = commits.count == Self.pageMax
        guard let last = commits.last else { continue }
        for event in commits.lazy.flatMap(\.events) {
          guard let key = session.key(event) else { continue }
          guard state.withLock({ $0.admit(event, key: key) }) else { continue }
          let lane = Lane(first: event, key: key, isBeginning: begins(event))
          if lanes.withLock({ $0.enter(lane) }) {
            group.addTask { await self.work(lane, session) }
          }
        }
        state.withLock { $0.didRead(through: last.header.lastPosition) }
      } catch {
        attempt += 1
        await pause(attempt, after: error)
      }
    }
  }

  /// Works off a lane until it is empty, and then those that wait for a worker.
  private func work(_ first: Lane, _ session: Session) async {
    await withDiscardingTaskGroup { remainders in
      var lane: Lane? = first
      while let current = lane {
        var next: Recorded? = current.first
        while let event = next {
          guard let remainder = await self.repeated(of: event, { try await session.handle(event) })
          else { return }
          if let remainder {
            remainders.addTask {
              guard await self.repeated(of: event, remainder) != nil else { return }
              self.state.withLock { $0.finish(event) }
            }
          } else {
            self.state.withLock { $0.finish(event) }
          }
          next = self.state.withLock { $0.next(of: current.key) }
          if next != nil { await self.log.giveWay(atMost: Self.pauseMax, to: .flood) }
        }
        lane = self.lanes.withLock { $0.next(after: current) }
        if lane != nil { await self.log.giveWay(atMost: Self.pauseMax, to: .flood) }
      }
    }
  }

  /// Nil when cancelled.
  private func repeated<T>(
    of event: Recorded, _ body: () async throws -> T
  ) async -> T? {
    var attempt = 0
    while !Task.isCancelled {
      do {
        return try await body()
      } catch {
        attempt += 1
        await pause(attempt, after: error, event: event)
      }
    }
    return nil
  }

  private func pause(_ attempt: Int, after error: any Error, event: Recorded? = nil) async {
    if Task.isCancelled { return }
    var metadata: Logger.Metadata = [
      "subscription": "\(name)", "attempt": "\(attempt)", "error": "\(error)",
    ]
    if let event { metadata["position"] = "\(event.position)" }
    logger.log(
      level: attempt == 3 ? .warning : .debug, "subscription will try again", metadata: metadata)
    try? await Task.sleep(for: Backoff.standard.delay(attempt: attempt))
  }
}

/// Where a subscription begins, and the lease that allows it.
private struct SubscriptionLease: Sendable {
  var start: Position
  var leased: LeasedProgress?
}
