import Logging
import ServiceLifecycle
import Synchronization

/// Everything in the log after a checkpoint, in order per key and in parallel across keys, each
/// event handled at least once.
///
/// A handler that throws is called again, with backoff, until it succeeds: its key waits, the
/// others go on. The checkpoint is the position up to which everything is done.
public final class Subscription: Service {
  public typealias Handle = @Sendable (Recorded) async throws -> Void

  /// Commits that are read at a time.
  private static let pageMax = 500
  /// A lane's pause between two events while there are many requests: short enough that what was
  /// begun goes on.
  private static let pauseMax: Duration = .milliseconds(100)

  public let name: String
  private let log: any EventLog
  private let checkpoints: any ReadModelStore
  private let key: @Sendable (Recorded) -> String?
  private let handle: Handle
  private let logger: Logger
  private let outstandingMax: Int
  private let lanesMax: Int
  private let state: Mutex<SubscriptionWindow>
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
    var waiting = Line()
    var beginnings = Line()

    struct Line {
      private var lanes: [Lane] = []
      private var taken = 0

      var first: Lane? { taken < lanes.count ? lanes[taken] : nil }

      mutating func append(_ lane: Lane) { lanes.append(lane) }

      mutating func popFirst() -> Lane? {
        guard let lane = first else { return nil }
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
      if lane.isBeginning { runningBeginnings += 1 }
      return true
    }

    /// The next one in line, for a worker that is through with its own.
    mutating func next(after lane: Lane) -> Lane? {
      if lane.isBeginning { runningBeginnings -= 1 }
      if let next = waiting.popFirst() { return next }
      if runningBeginnings < beginningsMax, let next = beginnings.popFirst() {
        runningBeginnings += 1
        return next
      }
      running -= 1
      return nil
    }
  }

  /// - Parameters:
  ///   - outstandingMax: events read and not yet handled, at most; reading waits beyond it.
  ///   - lanesMax: keys that are worked on at the same time, at most.
  ///   - key: nil for events that are none of this subscription's business.
  ///   - begins: whether something begins with an event; it waits while there is much to go on with.
  public init(
    name: String, log: any EventLog, checkpoints: any ReadModelStore, logger: Logger,
    outstandingMax: Int = 4096, lanesMax: Int = 256, key: @escaping @Sendable (Recorded) -> String?,
    begins: @escaping @Sendable (Recorded) -> Bool = { _ in false }, handle: @escaping Handle
  ) {
    self.name = name
    self.log = log
    self.checkpoints = checkpoints
    self.key = key
    self.handle = handle
    self.logger = logger
    self.outstandingMax = outstandingMax
    self.begins = begins
    self.lanesMax = lanesMax
    lanes = Mutex(Lanes(lanesMax: lanesMax))
    self.state = Mutex(SubscriptionWindow(from: .start))
  }

  /// Up to where everything is handled, and how many events are read but not yet handled.
  public var progress: (checkpoint: Position, outstanding: Int) {
    state.withLock { ($0.checkpoint, $0.outstanding) }
  }

  /// When the first was asked for of those that wait for their beginning; nil when none does.
  public var oldestBeginning: Timestamp? {
    lanes.withLock { $0.beginnings.first?.first.timestamp }
  }

  /// Runs until cancelled or told to shut down. Faults of the log are waited out.
  public func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      let start = await firstCheckpoint()
      state.withLock { $0 = SubscriptionWindow(from: start) }
      lanes.withLock { $0 = Lanes(lanesMax: lanesMax) }
      await withDiscardingTaskGroup { group in
        group.addTask { await self.saveCheckpoints(from: start) }
        await self.read(&group)
        group.cancelAll()
      }
      try? await checkpoints.saveCheckpoint(progress.checkpoint, of: name)
    }
  }

  private func firstCheckpoint() async -> Position {
    var attempt = 0
    while !Task.isCancelled {
      do {
        return try await checkpoints.checkpoint(of: name)
      } catch {
        attempt += 1
        await pause(attempt, after: error)
      }
    }
    return .start
  }

  private func read(_ group: inout DiscardingTaskGroup) async {
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
          guard let key = key(event) else { continue }
          guard state.withLock({ $0.admit(event, key: key) }) else { continue }
          let lane = Lane(first: event, key: key, isBeginning: begins(event))
          if lanes.withLock({ $0.enter(lane) }) { group.addTask { await self.work(lane) } }
        }
        state.withLock { $0.didRead(through: last.header.lastPosition) }
      } catch {
        attempt += 1
        await pause(attempt, after: error)
      }
    }
  }

  /// Works off a lane until it is empty, and then those that wait for a worker.
  private func work(_ first: Lane) async {
    var lane: Lane? = first
    while let current = lane {
      var next: Recorded? = current.first
      while let event = next {
        var attempt = 0
        while true {
          if Task.isCancelled { return }
          do {
            try await handle(event)
            break
          } catch {
            attempt += 1
            await pause(attempt, after: error, event: event)
          }
        }
        next = state.withLock { $0.finish(event, key: current.key) }
        if next != nil { await log.giveWay(atMost: Self.pauseMax, to: .flood) }
      }
      lane = lanes.withLock { $0.next(after: current) }
      if lane != nil { await log.giveWay(atMost: Self.pauseMax, to: .flood) }
    }
  }

  private func saveCheckpoints(from start: Position) async {
    var saved = start
    while !Task.isCancelled {
      try? await Task.sleep(for: .milliseconds(250))
      let checkpoint = progress.checkpoint
      guard checkpoint > saved else { continue }
      do {
        try await checkpoints.saveCheckpoint(checkpoint, of: name)
        saved = checkpoint
      } catch {
        await pause(1, after: error)
      }
    }
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
