import API
import ArgumentParser
import Commerce
import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Mongo

extension BenchCommand {
  /// `magasin bench replay`: how long the replay of a long stream takes, with a snapshot and without.
  struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "replay",
      abstract: "Replay a long stream of stock, which is made when it is not there.")

    @OptionGroup var database: DatabaseOptions

    @Option(help: "Events of the stream.")
    var events: Int64 = 100_000

    @Option(help: "Orders that hold stock at its end.")
    var openOrders: Int64 = 100

    @Option(help: "Replays with a snapshot. Without one: a tenth of them.")
    var runs = 20

    func validate() throws {
      guard runs >= 1, openOrders >= 0, openOrders * 2 < events else {
        throw ValidationError("--runs is at least 1, --open-orders less than half of --events.")
      }
    }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "bench"))
      let snapshots = MongoSnapshots(try MongoDatabase(try database.uri()))
      let product = ProductID(Int64(events))
      try await fill(product, of: log, snapshots)
      let stream = Inventory.stream(product.text)
      let full = try await median(of: max(1, runs / 10)) {
        _ = try await EventStoreJSON.replay(stream, of: log)
      }
      _ = try await Snapshots(log: log, store: snapshots)
        .take(of: stream, with: AggregateFold(Inventory.self))
      let fast = try await median(of: runs) {
        _ = try await EventStoreJSON.replay(stream, of: log, snapshots: snapshots)
      }
      Self.print("replay.full", full)
      Self.print("replay.snapshot", fast)
    }

    /// Orders that reserve and release, each in a commit of its own, as they come from a shop.
    private func fill(
      _ product: ProductID, of log: MongoLog, _ snapshots: MongoSnapshots
    ) async throws {
      guard try await log.version(of: Inventory.stream(product.text)) == .none else { return }
      let handler = CommandHandler<Inventory>(log: log, snapshots: snapshots)
      try await handler.handle(
        .restock(product: product, quantity: 1_000_000), on: product.text, context: Self.context())
      let rest = events - 1
      let orders = (rest + openOrders + 1) / 2
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<orders {
          if number >= 500 { try await group.next() }
          let isReleased = number < rest - orders
          group.addTask {
            let order = OrderID(.random())
            try await handler.handle(
              .reserve(order: order, product: product, quantity: 1), on: product.text,
              context: Self.context())
            guard isReleased else { return }
            try await handler.handle(
              .release(order: order, reason: "measured"), on: product.text, context: Self.context())
          }
        }
        try await group.waitForAll()
      }
    }

    private static func context() -> CommitContext {
      CommitContext(commandID: .random(), timestamp: .now, serviceName: "bench")
    }

    private func median(of runs: Int, _ body: () async throws -> Void) async throws -> Duration {
      var times: [Duration] = []
      for _ in 0..<runs {
        let start = ContinuousClock.now
        try await body()
        times.append(.now - start)
      }
      return times.sorted()[times.count / 2]
    }

    private static func print(_ name: String, _ time: Duration) {
      Swift.print("\(name) \(String(format: "%.1f", time / .milliseconds(1))) ms")
    }
  }
}
