import EventSourcing
import SimulationRuntime

/// Runs all tasks of the program on one thread, one job at a time: which one comes next is drawn from
/// the seed, and time passes only when it says so. The same seed gives the same interleaving.
final class Scheduler: @unchecked Sendable {
  private typealias Job = UnsafeMutableRawPointer

  /// Shorter sleeps are those of pollers: while nothing happens they are not waited for one by one,
  /// but are late, as in a process that was stopped for a while.
  private static let pollingNanosecondsMax: Int64 = 900_000_000
  private static let idlePollsMax = 24
  /// How far time moves on at most while there is something to do.
  private static let hurryNanosecondsMax: Int64 = 5_000_000_000
  /// Midnight of a day like any other.
  private static let start: Int64 = 1_767_225_600_000_000_000

  private var generator: SeededGenerator
  private var ready: [Job] = []
  private var polls = SleeperQueue()
  private var sleepers = SleeperQueue()
  private var order = 0
  private var idlePolls = 0
  private(set) var now = Scheduler.start
  private(set) var steps = 0

  nonisolated(unsafe) private static var current: Scheduler?

  /// Takes the place of the one before.
  init(seed: UInt64) {
    generator = SeededGenerator(seed: seed ^ 0x5EED_5C4E_D01E_5000)
    Self.current = self
  }

  /// Seconds since the world began.
  var seconds: Double { Double(now - Self.start) / 1e9 }

  /// From now on every job of this process comes here.
  static func takeOver() {
    simulation_take_over { job, delay in
      guard let job else { return }
      Scheduler.current?.add(job, delay: Int64(clamping: delay))
    }
    simulation_draw_from { Scheduler.current?.generator.next() ?? 0 }
  }

  /// Something has happened that is more than looking whether something has.
  func noteActivity() { idlePolls = 0 }

  /// Runs jobs until `isOver`, or until there are none left.
  /// - Returns: false when there were more than `stepsMax`.
  func run(stepsMax: Int, until isOver: () -> Bool) -> Bool {
    simulation_set_time(now)
    defer { simulation_set_time(-1) }
    let end = steps + stepsMax
    while !isOver() {
      guard let job = next() else { return true }
      guard steps < end else { return false }
      steps += 1
      simulation_run(job)
    }
    return true
  }

  private func add(_ job: Job, delay: Int64) {
    guard delay > 0 else { return ready.append(job) }
    order += 1
    let sleeper = SleeperQueue.Sleeper(due: now + delay, order: order, job: job)
    if delay < Self.pollingNanosecondsMax { polls.add(sleeper) } else { sleepers.add(sleeper) }
  }

  private func next() -> Job? {
    if ready.isEmpty {
      wakeNext()
    } else if ready.count > 1, generator.next() & 511 == 0 {
      hurry()
    }
    guard !ready.isEmpty else { return nil }
    let place = ready.count == 1 ? 0 : Int(generator.next(upperBound: UInt64(ready.count)))
    ready.swapAt(place, ready.count - 1)
    return ready.removeLast()
  }

  /// Time passes until somebody has something to do.
  private func wakeNext() {
    let poll = polls.first
    let sleeper = sleepers.first
    switch (poll, sleeper) {
    case (nil, nil): return
    case (nil, let sleeper?): pass(until: sleeper)
    case (let poll?, nil): pass(until: poll)
    case (let poll?, let sleeper?):
      if poll < sleeper, idlePolls < Self.idlePollsMax {
        idlePolls += 1
        pass(until: poll)
      } else {
        pass(until: max(poll.due, sleeper.due))
      }
    }
  }

  /// Time passes although there is something to do: the machine is busy.
  private func hurry() {
    let dues = [polls.first?.due, sleepers.first?.due].compactMap(\.self)
    guard let due = dues.min(), due - now < Self.hurryNanosecondsMax else { return }
    pass(until: due)
  }

  private func pass(until sleeper: SleeperQueue.Sleeper) { pass(until: sleeper.due) }

  private func pass(until time: Int64) {
    now = max(now, time)
    simulation_set_time(now)
    while let sleeper = polls.first, sleeper.due <= now { ready.append(polls.removeFirst().job) }
    while let sleeper = sleepers.first, sleeper.due <= now {
      ready.append(sleepers.removeFirst().job)
    }
  }
}

/// Jobs that sleep, in the order in which they are due: a binary heap.
private struct SleeperQueue {
  struct Sleeper: Comparable {
    var due: Int64
    /// Of two that are due at the same time the first one comes first.
    var order: Int
    var job: UnsafeMutableRawPointer

    static func < (left: Sleeper, right: Sleeper) -> Bool {
      (left.due, left.order) < (right.due, right.order)
    }
  }

  private var heap: [Sleeper] = []

  var first: Sleeper? { heap.first }

  mutating func add(_ sleeper: Sleeper) {
    heap.append(sleeper)
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() -> Sleeper {
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child] < heap[least] { least = child }
      guard least != parent else { return first }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

extension SeededGenerator {
  fileprivate mutating func next(upperBound: UInt64) -> UInt64 {
    next().multipliedFullWidth(by: upperBound).high
  }
}

/// Lets everybody else have a turn.
func letOthersGo() async {
  await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
    continuation.resume()
  }
}
