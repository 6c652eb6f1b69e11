import Commerce
import EventSourcing
import ServiceLifecycle
import Synchronization

/// Follows orders to their end in the log, wherever the saga runs.
///
/// One follower a process, and only while somebody waits: it reads what comes into the log and tells
/// those whose order has ended, thousands of them at the cost of one.
final class OrderOutcomes: Sendable {
  enum Outcome: Sendable {
    case confirmed(Position)
    case cancelled(OrderCancelled, Position)
  }

  private typealias Answer = CheckedContinuation<Outcome?, Never>

  private struct Waiter {
    var answer: Answer?
    var deadline: ContinuousClock.Instant
    /// What the follower has found before there was anybody to tell.
    var outcome: Outcome?
  }

  private struct State {
    var waiting: [String: [Int: Waiter]] = [:]
    var nextID = 0
    /// Up to where the follower has come; nil: there is none.
    var followed: Position?
    /// Every outcome between here and `followed` is among the recent ones.
    var since = Position.start
    var recent: [String: Outcome] = [:]
    var nextSweep = ContinuousClock.now
  }

  /// A process that does not hear of what others append looks by itself.
  private static let lookFirst: Duration = .milliseconds(20)
  private static let lookMax: Duration = .milliseconds(100)
  private static let sweepPause: Duration = .milliseconds(50)
  private static let pageMax = 500
  private static let recentMax = 4096

  private let log: any EventLog
  private let state = Mutex(State())

  init(log: any EventLog) { self.log = log }

  /// How the order ended; nil when that is not known within `seconds`, or by when the server is
  /// told to end. A log that cannot be read now is no error: the order is in it, and the caller is
  /// told so.
  /// - Parameter placed: where the order was placed, if a moment ago: all of its course lies behind.
  func wait(for order: OrderID, placed: Position? = nil, seconds: Int) async -> Outcome? {
    guard seconds > 0 else { return try? await outcome(of: order) }
    let deadline = ContinuousClock.now + .seconds(seconds)
    var start = placed
    if start == nil { start = await head(by: deadline) }
    guard let start else { return nil }
    let (id, isComplete) = enter(order, from: start, until: deadline)
    defer { leave(order, id) }
    if placed == nil || !isComplete, let past = try? await outcome(of: order) { return past }
    return await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await withCheckedContinuation { answer in
          let known: Outcome?? = state.withLock { state in
            if let outcome = state.waiting[order.text]?[id]?.outcome { return .some(outcome) }
            guard !Task.isCancelled, !Task.isShuttingDownGracefully,
              state.waiting[order.text]?[id] != nil
            else { return .some(nil) }
            state.waiting[order.text]?[id]?.answer = answer
            return nil
          }
          if let known { answer.resume(returning: known) }
        }
      } onGracefulShutdown: {
        self.leave(order, id)
      }
    } onCancel: {
      leave(order, id)
    }
  }

  private func head(by deadline: ContinuousClock.Instant) async -> Position? {
    while .now < deadline, !Task.isCancelled, !Task.isShuttingDownGracefully {
      if let head = try? await log.head() { return head }
      try? await Task.sleep(for: Self.lookMax)
    }
    return nil
  }

  /// Takes a place among those who wait, and sees to it that somebody follows. Answers whether
  /// every outcome after `position` is or will be told.
  private func enter(
    _ order: OrderID, from position: Position, until deadline: ContinuousClock.Instant
  ) -> (id: Int, isComplete: Bool) {
    state.withLock { state in
      state.nextID += 1
      let id = state.nextID
      var waiter = Waiter(deadline: deadline)
      if state.followed == nil {
        state.followed = position
        state.since = position
        Task { await follow() }
      } else if state.since <= position {
        waiter.outcome = state.recent[order.text]
      }
      state.waiting[order.text, default: [:]][id] = waiter
      return (id, state.since <= position)
    }
  }

  private func leave(_ order: OrderID, _ id: Int) {
    let waiter = state.withLock { state in
      let waiter = state.waiting[order.text]?.removeValue(forKey: id)
      if state.waiting[order.text]?.isEmpty == true { state.waiting[order.text] = nil }
      return waiter
    }
    waiter?.answer?.resume(returning: waiter?.outcome)
  }

  /// Until nobody waits.
  private func follow() async {
    var pause = Self.lookFirst
    var isBehind = false
    while let position = position() {
      if !isBehind {
        let mayHaveMore = await log.waitForEvents(after: position, timeout: pause)
        pause = min(pause * 2, Self.lookMax)
        guard mayHaveMore else { continue }
      }
      guard let commits = try? await log.read(after: position, limit: Self.pageMax) else {
        try? await Task.sleep(for: Self.lookMax)
        continue
      }
      isBehind = commits.count == Self.pageMax
      guard let last = commits.last else { continue }
      pause = Self.lookFirst
      take(
        commits.lazy.flatMap(\.events).compactMap(Self.ending),
        through: last.header.lastPosition)
    }
  }

  /// Where to read on; nil when nobody waits any more. Those whose time is over are let go.
  private func position() -> Position? {
    var late: [Answer] = []
    let position: Position? = state.withLock { state in
      let now = ContinuousClock.now
      guard now >= state.nextSweep || state.waiting.isEmpty else { return state.followed }
      state.nextSweep = now + Self.sweepPause
      for (order, waiters) in state.waiting {
        for (id, waiter) in waiters where waiter.deadline <= now {
          state.waiting[order]?[id] = nil
          if let answer = waiter.answer { late.append(answer) }
        }
        if state.waiting[order]?.isEmpty == true { state.waiting[order] = nil }
      }
      if state.waiting.isEmpty {
        state.followed = nil
        state.recent.removeAll(keepingCapacity: true)
      }
      return state.followed
    }
    for answer in late { answer.resume(returning: nil) }
    return position
  }

  private func take(_ endings: [(order: String, outcome: Outcome)], through position: Position) {
    var told: [(Answer, Outcome)] = []
    state.withLock { state in
      if state.recent.count + endings.count > Self.recentMax {
        state.recent.removeAll(keepingCapacity: true)
        state.since = state.followed ?? position
      }
      state.followed = position
      for (order, outcome) in endings {
        state.recent[order] = outcome
        guard let waiters = state.waiting[order] else { continue }
        for (id, waiter) in waiters {
          if let answer = waiter.answer {
            state.waiting[order]?[id] = nil
            told.append((answer, outcome))
          } else {
            state.waiting[order]?[id]?.outcome = outcome
          }
        }
      }
    }
    for (answer, outcome) in told { answer.resume(returning: outcome) }
  }

  private static func ending(_ event: Recorded) -> (order: String, outcome: Outcome)? {
    guard event.stream.category == Orders.category else { return nil }
    switch event.type {
    case OrderConfirmed.type: return (event.stream.id, .confirmed(event.position))
    case OrderCancelled.type:
      guard case .cancelled(let cancelled)? = try? Orders.decode(event) else { return nil }
      return (event.stream.id, .cancelled(cancelled, event.position))
    default: return nil
    }
  }

  /// What the order's stream says, which is a handful of events long.
  private func outcome(of order: OrderID) async throws -> Outcome? {
    var outcome: Outcome?
    for event in try await log.stream(Orders.stream(order.text)) {
      switch try Orders.decode(event) {
      case .confirmed: outcome = .confirmed(event.position)
      case .cancelled(let cancelled): outcome = .cancelled(cancelled, event.position)
      case .initiated: break
      // The order is on its way back: what counts is its cancellation.
      case .cancellationRequested: outcome = nil
      }
    }
    return outcome
  }
}
