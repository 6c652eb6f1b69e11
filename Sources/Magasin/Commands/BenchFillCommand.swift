import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging

extension BenchCommand {
  /// `magasin bench fill`: a log to measure with.
  struct Fill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fill a log with the history of a shop: five events an order.",
      discussion: """
        Products and their stock first, then orders, each from its placing to its confirmation. \
        The same seed makes the same log. Orders that are there from an earlier run count, so that \
        a log can be made longer.
        """)

    @OptionGroup var database: DatabaseOptions

    @Option(help: "Orders that the log has in the end.")
    var orders: Int

    @Option(help: "Orders on their way at the same time.")
    var callers = 1000

    @Option(help: "The seed of the history.")
    var seed: UInt64 = 1

    func validate() throws {
      guard orders >= 1, (1...10_000).contains(callers) else {
        throw ValidationError("--orders is greater than 0, --callers is 1 to 10000.")
      }
    }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "bench"))
      let history = ShopHistory(seed: seed)
      let start = ContinuousClock.now
      do {
        let present = try await open(history, log)
        var filling = Filling(history: history, log: log, present: present, wanted: orders)
        try await filling.run(lanes: min(callers, max(1, orders - present)))
        let added = max(0, orders - present) * ShopHistory.eventsPerOrder
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        print("fill.orders \(max(orders, present)) orders")
        print("fill.events \(try await log.head()) events")
        print("fill.rate \(Int(Double(added) / elapsed)) events/s")
      } catch let conflict as AppendConflict {
        throw CommandFailure(
          description: "\(conflict.stream) is not what this seed leaves: it was written by "
            + "somebody else, or a run was cut off. Fill an empty database.")
      }
    }

    /// Writes what comes before the first order, if it is not there. Answers how many orders are.
    private func open(_ history: ShopHistory, _ log: MongoLog) async throws -> Int {
      let opening = history.opening()
      if let last = opening.last, try await log.commit(of: last.context.commandID) == nil {
        let tickets = opening.map(log.enqueue)
        for ticket in tickets { _ = try await ticket.value() }
        return 0
      }
      func isPresent(_ number: Int) async throws -> Bool {
        try await log.commit(of: history.draft(number).commandID) != nil
      }
      var (least, beyond) = (0, 1)
      while try await isPresent(beyond - 1) { (least, beyond) = (beyond, beyond * 2) }
      // All up to `least` are there, that before `beyond` is not.
      while beyond - least > 1 {
        let middle = (least + beyond) / 2
        if try await isPresent(middle - 1) { least = middle } else { beyond = middle }
      }
      return least
    }
  }
}

/// Many orders on their way, one commit of each in the log's queue at a time. The commits are queued
/// in an order that does not depend on when the earlier ones are durable: chance has no part in it.
private struct Filling {
  private struct Lane {
    var course: OrderCourse
    var ticket: AppendTicket?
  }

  private let history: ShopHistory
  private let log: MongoLog
  private let wanted: Int
  private var begun: Int
  private var commits: Int64
  private var shelves: Shelves

  init(history: ShopHistory, log: MongoLog, present: Int, wanted: Int) {
    self.history = history
    self.log = log
    self.wanted = wanted
    begun = present
    commits = Int64(present * ShopHistory.eventsPerOrder)
    shelves = Shelves(after: present, of: history)
  }

  /// Returns when the last order is confirmed.
  mutating func run(lanes count: Int) async throws {
    // A fifth of the lanes begins in each of the first rounds: orders are at different steps then.
    let steps = ShopHistory.eventsPerOrder
    var lanes: [Lane] = []
    repeat {
      for _ in 0..<min(count - lanes.count, (count + steps - 1) / steps) {
        guard let course = nextCourse() else { break }
        lanes.append(Lane(course: course))
      }
      var busy: [Lane] = []
      busy.reserveCapacity(lanes.count)
      for var lane in lanes where try await advance(&lane) { busy.append(lane) }
      lanes = busy
    } while !lanes.isEmpty
  }

  /// Queues the next commit of the lane's order, or the first one of a new order. False when there
  /// is none.
  private mutating func advance(_ lane: inout Lane) async throws -> Bool {
    if let ticket = lane.ticket { _ = try await ticket.value() }
    var commit = try lane.course.next(at: now, &shelves)
    if commit == nil, let course = nextCourse() {
      lane.course = course
      commit = try lane.course.next(at: now, &shelves)
    }
    guard let commit else { return false }
    lane.ticket = log.enqueue(commit)
    commits += 1
    return true
  }

  private mutating func nextCourse() -> OrderCourse? {
    guard begun < wanted else { return nil }
    begun += 1
    return OrderCourse(begun - 1, of: history, at: now)
  }

  private var now: Timestamp {
    ShopHistory.start.adding(milliseconds: commits * ShopHistory.pauseMilliseconds)
  }
}
