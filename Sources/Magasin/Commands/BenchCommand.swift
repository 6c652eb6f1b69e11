import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Synchronization

/// `magasin bench`: our side of `scripts/bench`.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure (used by scripts/bench).", shouldDisplay: false,
    subcommands: [Append.self, Fill.self, Naive.self, Constant.self, Replay.self])

  struct Append: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Append one-event commits through the library as fast as it goes.")

    @OptionGroup var database: DatabaseOptions

    @Option(help: "Concurrent callers; each waits for its answer before it appends again.")
    var callers = 1000

    @Option(help: "Seconds to measure.")
    var seconds: Double = 5

    @Option(help: "Stop after so many commits instead.")
    var commits: Int?

    func validate() throws {
      guard callers >= 1, seconds > 0, commits.map({ $0 >= 1 }) ?? true else {
        throw ValidationError("--callers, --seconds and --commits are greater than 0.")
      }
    }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "bench"))
      let left = Countdown(commits ?? .max)
      let start = ContinuousClock.now
      let deadline = commits == nil ? start + .seconds(seconds) : nil
      let latencies = try await withThrowingTaskGroup(of: LatencyHistogram.self) { group in
        for _ in 0..<callers {
          group.addTask {
            var latencies = LatencyHistogram()
            while left.next() {
              let begun = ContinuousClock.now
              if let deadline, begun >= deadline { break }
              try await log.append(Self.commit())
              latencies.add(.now - begun)
            }
            return latencies
          }
        }
        return try await group.reduce(into: LatencyHistogram()) { $0.add($1) }
      }
      let elapsed = (ContinuousClock.now - start) / .seconds(1)
      print("append.library \(Int(Double(latencies.count) / elapsed)) events/s")
      for percent in [50, 99] {
        let milliseconds = latencies.percentile(percent) / .milliseconds(1)
        print("append.p\(percent) \(String(format: "%.3f", milliseconds)) ms")
      }
    }

    private static let price = Value.decimal(FixedDecimal(unscaled: 19_999, scale: 2))
    private static let metadata: Fields = ["source_ip": "127.0.0.1", "user_agent": "bench/1.0"]
    /// An order's data behind its id.
    private static let data =
      ([
        "user_id": 456, "user_name": "Alice Tremblay",
        "user_email": "alice.tremblay@example.com",
        "items": [
          [
            "product_id": 101, "product_name": "Laptop", "quantity": 1, "unit_price": price,
            "line_total": price,
          ]
        ], "total_amount": price, "currency": "CAD", "payment_method": "card",
        "saga": "orchestrated",
      ] as Fields).entries

    private static func commit() -> ProposedCommit {
      let now = Timestamp.now
      let command = CommandID.random(at: now)
      let stream = StreamName(category: "orders", id: "order_\(command)")
      return ProposedCommit(
        context: CommitContext(
          commandID: command, timestamp: now, serviceName: "magasin", metadata: metadata),
        events: [
          ProposedEvent(
            stream: stream, type: "OrderInitiated",
            data: Fields(uniqueEntries: [.init(key: "order_id", value: .string(stream.id))] + data))
        ], expectations: [stream: .noStream])
    }
  }
}

/// Latencies in classes of 1 % width: exact enough for percentiles, and of one size.
struct LatencyHistogram: Sendable {
  private static let base = 1.01
  private var classes: [Int] = []
  private(set) var count = 0

  mutating func add(_ latency: Duration) {
    let microseconds = max(1, latency / .microseconds(1))
    let place = Int(log(microseconds) / log(Self.base))
    if place >= classes.count { classes += Array(repeating: 0, count: place + 1 - classes.count) }
    classes[place] += 1
    count += 1
  }

  mutating func add(_ other: LatencyHistogram) {
    if other.classes.count > classes.count {
      classes += Array(repeating: 0, count: other.classes.count - classes.count)
    }
    for (place, number) in other.classes.enumerated() { classes[place] += number }
    count += other.count
  }

  /// The latency that `percent` of all do not exceed.
  func percentile(_ percent: Int) -> Duration {
    var rest = (count * percent + 99) / 100
    for (place, number) in classes.enumerated() {
      rest -= number
      if rest <= 0 { return .microseconds(Int64(pow(Self.base, Double(place) + 0.5))) }
    }
    return .zero
  }
}

/// Gives out a number of turns, to several tasks at once.
private final class Countdown: Sendable {
  private let left: Atomic<Int>

  init(_ count: Int) { left = Atomic(count) }

  func next() -> Bool { left.subtract(1, ordering: .relaxed).newValue >= 0 }
}
