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
    subcommands: [Append.self])

  struct Append: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Append one-event commits through the library as fast as it goes.")

    @OptionGroup var database: DatabaseOptions

    @Option(help: "Concurrent callers; each waits for its answer before it appends again.")
    var callers = 1000

    @Option(help: "Seconds to measure.")
    var seconds = 5

    func run() async throws {
      let log = try await database.openLog(Logger(label: "bench"))
      let deadline = ContinuousClock.now + .seconds(seconds)
      let start = ContinuousClock.now
      let total = try await withThrowingTaskGroup(of: Int.self) { group in
        for caller in 0..<callers {
          group.addTask {
            var count = 0
            while ContinuousClock.now < deadline {
              try await log.append(Self.commit(caller, count))
              count += 1
            }
            return count
          }
        }
        return try await group.reduce(0, +)
      }
      let elapsed = (ContinuousClock.now - start) / .seconds(1)
      print("append.library \(Int(Double(total) / elapsed)) events/s")
    }

    private static let price = Value.decimal(FixedDecimal(unscaled: 19_999, scale: 2))

    private static func commit(_ caller: Int, _ count: Int) -> ProposedCommit {
      let now = Timestamp.now
      let command = CommandID.random(at: now)
      let stream = StreamName(category: "orders", id: "order_\(command)")
      return ProposedCommit(
        context: CommitContext(
          commandID: command, timestamp: now, serviceName: "magasin",
          metadata: ["source_ip": "127.0.0.1", "user_agent": "bench/1.0"]),
        events: [
          ProposedEvent(
            stream: stream, type: "OrderInitiated",
            data: [
              "order_id": .string(stream.id), "user_id": 456, "user_name": "Alice Tremblay",
              "user_email": "alice.tremblay@example.com",
              "items": [
                [
                  "product_id": 101, "product_name": "Laptop", "quantity": 1,
                  "unit_price": Self.price, "line_total": Self.price,
                ]
              ], "total_amount": Self.price, "currency": "CAD", "payment_method": "card",
              "saga": "orchestrated",
            ])
        ], expectations: [stream: .noStream])
    }
  }
}
