import Logging
import Synchronization

/// Wakes sagas when their timers are due.
///
/// Timers live in the sagas' own events; this is an index of them in memory, ordered by when they
/// are due. It is filled from what a read model knows of waiting sagas, and then from the log, and
/// sleeps until the first one is due: a saga that waits costs nothing.
public final class TimerKeeper: Sendable {
  /// A saga that waits, and its event that says so.
  public struct Waiting: Sendable {
    public var saga: String
    public var timer: SagaTimer
    public var setAt: Position

    public init(saga: String, timer: SagaTimer, setAt: Position) {
      self.saga = saga
      self.timer = timer
      self.setAt = setAt
    }
  }

  /// The sagas that wait, as of a position of the log.
  public typealias Source = @Sendable () async throws -> (waiting: [Waiting], position: Position)
  public typealias Fire = @Sendable (SagaTimer, String, Recorded) async throws -> Void

  /// Sagas that are woken at the same time, at most.
  private static let firingMax = 32
  private static let pageEvents = 5_000

  private struct State {
    /// By saga: its timer, or the event that ended it.
    var timers: [String: (timer: SagaTimer?, setAt: Position)] = [:]
    /// In the order of their due times; outdated entries are left out when they are met.
    var queue = DueQueue()
  }

  private let category: String
  private let log: any EventLog
  private let source: Source?
  private let clock: @Sendable () -> Timestamp
  private let sleep: @Sendable (Duration) async throws -> Void
  private let logger: Logger
  private let state = Mutex(State())
  private let doorbell = Doorbell()

  /// - Parameters:
  ///   - category: of the sagas' streams.
  ///   - source: nil: the timers are read from the whole log.
  public init(
    category: String, log: any EventLog, logger: Logger, source: Source? = nil,
    clock: @escaping @Sendable () -> Timestamp = { .now },
    sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
  ) {
    self.category = category
    self.log = log
    self.source = source
    self.clock = clock
    self.sleep = sleep
    self.logger = logger
  }

  /// Sagas that wait for their timers, and how long the first one is overdue, in seconds.
  public var standing: (waiting: Int, overdueSeconds: Double) {
    let now = clock()
    return state.withLock { state in
      let first = state.queue.earliest { Self.isLive($0, state.timers) }
      let late = first.map { now.millisecondsSinceEpoch - $0.due.millisecondsSinceEpoch } ?? 0
      return (state.timers.count, Double(max(0, late)) / 1000)
    }
  }

  /// Takes note of an event of the log; the events come in order.
  public func note(_ event: Recorded) {
    guard event.stream.category == category else { return }
    take(event.stream.id, (try? SagaTimer(in: event)) ?? nil, setAt: event.position)
  }

  /// Knows all timers that were set up to `position`; those that are set later are told by
  /// ``note(_:)``.
  public func load(upTo position: Position) async throws {
    state.withLock { $0 = State() }
    var from = Position.start
    if let source {
      let known = try await source()
      for waiting in known.waiting { take(waiting.saga, waiting.timer, setAt: waiting.setAt) }
      from = known.position
    }
    let selection = EventSelection([category: nil])
    var next = from + 1
    while next <= position {
      let end = min(next + Self.pageEvents, position + 1)
      for event in try await log.scan(next..<end, for: selection).events { note(event) }
      next = end
    }
  }

  /// Fires timers until cancelled. One that fails is tried again later, the others go on.
  public func run(_ fire: @escaping Fire) async {
    await withDiscardingTaskGroup { group in
      let slots = Slots(Self.firingMax)
      while !Task.isCancelled {
        let heard = doorbell.head
        let now = clock()
        let (due, next) = state.withLock { Self.takeDue(&$0, now) }
        for timer in due {
          await slots.take()
          group.addTask {
            defer { slots.give() }
            await self.fire(timer, fire)
          }
        }
        if !due.isEmpty { continue }
        await wait(until: next, unless: heard)
      }
      group.cancelAll()
    }
  }

  // MARK: Parts

  private func take(_ saga: String, _ timer: SagaTimer?, setAt position: Position) {
    let isFirst = state.withLock { state in
      if let known = state.timers[saga], known.setAt >= position { return false }
      guard let timer else {
        state.timers[saga] = nil
        return false
      }
      let isSame = state.timers[saga]?.timer == timer
      state.timers[saga] = (timer, position)
      guard !isSame else { return false }
      let before = state.queue.first?.due
      state.queue.add(DueQueue.Entry(due: timer.due, saga: saga, epoch: timer.epoch))
      return before.map { timer.due < $0 } ?? true
    }
    if isFirst { doorbell.ring(doorbell.head + 1) }
  }

  private static func isLive(
    _ entry: DueQueue.Entry, _ timers: [String: (timer: SagaTimer?, setAt: Position)]
  ) -> Bool {
    timers[entry.saga]?.timer?.epoch == entry.epoch
  }

  private static func takeDue(
    _ state: inout State, _ now: Timestamp
  ) -> (due: [Waiting], next: Timestamp?) {
    var due: [Waiting] = []
    while let first = state.queue.first {
      guard let known = state.timers[first.saga], let timer = known.timer,
        timer.epoch == first.epoch
      else {
        state.queue.removeFirst()
        continue
      }
      guard first.due <= now, due.count < firingMax else { return (due, first.due) }
      state.queue.removeFirst()
      due.append(Waiting(saga: first.saga, timer: timer, setAt: known.setAt))
    }
    return (due, nil)
  }

  private func fire(_ waiting: Waiting, _ fire: Fire) async {
    do {
      guard let event = try await log.events(at: [waiting.setAt]).first else { return }
      try await fire(waiting.timer, waiting.saga, event)
    } catch {
      if Task.isCancelled { return }
      logger.warning(
        "a saga's timer could not be fired, trying again",
        metadata: ["saga": "\(waiting.saga)", "error": "\(error)"])
      let later = clock().adding(seconds: 1)
      state.withLock { state in
        state.queue.add(
          DueQueue.Entry(due: later, saga: waiting.saga, epoch: waiting.timer.epoch))
      }
      doorbell.ring(doorbell.head + 1)
    }
  }

  /// Sleeps until a time, or until an earlier timer is set.
  private func wait(until next: Timestamp?, unless heard: Position) async {
    let now = clock().millisecondsSinceEpoch
    // Clocks are set: never longer than a minute.
    let pause = min(60_000, max(1, (next?.millisecondsSinceEpoch ?? .max) - now))
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await self.sleep(.milliseconds(pause)) }
      group.addTask { await self.doorbell.wait(after: heard, timeout: .seconds(60)) }
      await group.next()
      group.cancelAll()
    }
  }
}

/// Timers in the order of their due times: a binary heap.
private struct DueQueue: Sendable {
  struct Entry: Sendable {
    var due: Timestamp
    var saga: String
    var epoch: Int64

    static func < (left: Entry, right: Entry) -> Bool {
      (left.due, left.saga, left.epoch) < (right.due, right.saga, right.epoch)
    }
  }

  private var entries: [Entry] = []

  var first: Entry? { entries.first }

  func earliest(where fits: (Entry) -> Bool) -> Entry? {
    entries.lazy.filter(fits).min { $0 < $1 }
  }

  mutating func add(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child] < entries[parent] else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() {
    guard let last = entries.popLast(), !entries.isEmpty else { return }
    entries[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < entries.count && entries[child] < entries[least] { least = child }
      guard least != parent else { return }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}

/// So many at a time.
private final class Slots: Sendable {
  private struct State {
    var free: Int
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state: Mutex<State>

  init(_ count: Int) { state = Mutex(State(free: count)) }

  func take() async {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.free > 0 {
          state.free -= 1
          return true
        }
        state.waiting.append(continuation)
        return false
      }
      if isFree { continuation.resume() }
    }
  }

  func give() {
    let next: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard let next = state.waiting.first else {
        state.free += 1
        return nil
      }
      state.waiting.removeFirst()
      return next
    }
    next?.resume()
  }
}
