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
  private let lanes = Mutex(Lanes())
  private let works = Mutex(false)

  /// Keys with events to handle: some at work, the others in line.
  private struct Lanes {
    var running = 0
    var waiting: [(first: Recorded, key: String)] = []
    var taken = 0

    /// The next one in line, for a worker that is through with its own.
    mutating func next() -> (first: Recorded, key: String)? {
      guard taken < waiting.count else {
        waiting = []
        taken = 0
        running -= 1
        return nil
      }
      taken += 1
      return waiting[taken - 1]
    }
  }

  /// - Parameters:
  ///   - process: where the lease is held; nil: it works without one.
  ///   - outstandingMax: events read and not yet handled, at most; reading waits beyond it.
  ///   - lanesMax: keys that are worked on at the same time, at most.
  public init(
    name: String, log: any EventLog, checkpoints: any ReadModelStore, logger: Logger,
    process: LeaseProcess? = nil, outstandingMax: Int = 4096, lanesMax: Int = 64,
    begin: @escaping Begin
  ) {
    self.name = name
    self.log = log
    self.checkpoints = checkpoints
    self.begin = begin
    self.logger = logger
    self.outstandingMax = outstandingMax
    self.lanesMax = lanesMax
    owner = process?.newOwner()
    self.state = Mutex(SubscriptionWindow(from: .start))
  }

  /// The same with nothing to begin, and nothing to leave for later.
  public convenience init(
    name: String, log: any EventLog, checkpoints: any ReadModelStore, logger: Logger,
    process: LeaseProcess? = nil, outstandingMax: Int = 4096, lanesMax: Int = 64,
    key: @escaping @Sendable (Recorded) -> String?,
    handle: @escaping @Sendable (Recorded) async throws -> Void
  ) {
    self.init(
      name: name, log: log, checkpoints: checkpoints, logger: logger, process: process,
      outstandingMax: outstandingMax, lanesMax: lanesMax
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
    lanes.withLock { $0 = Lanes() }
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
    while !Task.isCancelled {
      try? await Task.sleep(for: Self.savePause)
      let checkpoint = progress.checkpoint
      do {
        if let held = lease.leased?.lease, .now - renewed >= ProjectionLease.renewalPause {
          let now = ContinuousClock.now
          guard try await checkpoints.renew(held, for: ProjectionLease.duration) else {
            return false
          }
          renewed = now
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
        if !isBehind { await log.waitForEvents(after: from, timeout: .seconds(1)) }
        let commits = try await log.read(after: from, limit: Self.pageMax)
        attempt = 0
        isBehind = commits.count == Self.pageMax
        guard let last = commits.last else { continue }
        for event in commits.lazy.flatMap(\.events) {
          guard let key = session.key(event) else { continue }
          guard state.withLock({ $0.admit(event, key: key) }) else { continue }
          let startsWorker = lanes.withLock { lanes in
            if lanes.running < lanesMax {
              lanes.running += 1
              return true
            }
            lanes.waiting.append((event, key))
            return false
          }
          if startsWorker { group.addTask { await self.work(event, key: key, session) } }
        }
        state.withLock { $0.didRead(through: last.header.lastPosition) }
      } catch {
        attempt += 1
        await pause(attempt, after: error)
      }
    }
  }

  /// Works off a lane until it is empty, and then those that wait for a worker.
  private func work(_ first: Recorded, key: String, _ session: Session) async {
    await withDiscardingTaskGroup { remainders in
      var lane: (first: Recorded, key: String)? = (first, key)
      while let (first, key) = lane {
        var next: Recorded? = first
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
          next = self.state.withLock { $0.next(of: key) }
          if next != nil { await self.log.giveWay(atMost: Self.pauseMax) }
        }
        lane = self.lanes.withLock { $0.next() }
        if lane != nil { await self.log.giveWay(atMost: Self.pauseMax) }
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
