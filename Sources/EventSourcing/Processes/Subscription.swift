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
  private let lanes = Mutex(Lanes())

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
  ///   - outstandingMax: events read and not yet handled, at most; reading waits beyond it.
  ///   - lanesMax: keys that are worked on at the same time, at most.
  ///   - key: nil for events that are none of this subscription's business.
  public init(
    name: String, log: any EventLog, checkpoints: any ReadModelStore, logger: Logger,
    outstandingMax: Int = 4096, lanesMax: Int = 256, key: @escaping @Sendable (Recorded) -> String?,
    handle: @escaping Handle
  ) {
    self.name = name
    self.log = log
    self.checkpoints = checkpoints
    self.key = key
    self.handle = handle
    self.logger = logger
    self.outstandingMax = outstandingMax
    self.lanesMax = lanesMax
    self.state = Mutex(SubscriptionWindow(from: .start))
  }

  /// Up to where everything is handled, and how many events are read but not yet handled.
  public var progress: (checkpoint: Position, outstanding: Int) {
    state.withLock { ($0.checkpoint, $0.outstanding) }
  }

  /// Runs until cancelled or told to shut down. Faults of the log are waited out.
  public func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      let start = await firstCheckpoint()
      state.withLock { $0 = SubscriptionWindow(from: start) }
      lanes.withLock { $0 = Lanes() }
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
          let startsWorker = lanes.withLock { lanes in
            if lanes.running < lanesMax {
              lanes.running += 1
              return true
            }
            lanes.waiting.append((event, key))
            return false
          }
          if startsWorker { group.addTask { await self.work(event, key: key) } }
        }
        state.withLock { $0.didRead(through: last.header.lastPosition) }
      } catch {
        attempt += 1
        await pause(attempt, after: error)
      }
    }
  }

  /// Works off a lane until it is empty, and then those that wait for a worker.
  private func work(_ first: Recorded, key: String) async {
    var lane: (first: Recorded, key: String)? = (first, key)
    while let (first, key) = lane {
      var next: Recorded? = first
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
        next = state.withLock { $0.finish(event, key: key) }
        if next != nil { await log.giveWay(atMost: Self.pauseMax, to: .flood) }
      }
      lane = lanes.withLock { $0.next() }
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
