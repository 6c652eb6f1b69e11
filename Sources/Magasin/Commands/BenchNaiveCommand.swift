import ArgumentParser
import EventSourcing
import EventSourcingMongo
import Logging
import Projections

extension BenchCommand {
  /// `magasin bench naive`: the rival of a rebuild.
  struct Naive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fold a log event by event: read the row, apply, write it; no checkpoint at all.")

    @OptionGroup var database: DatabaseOptions

    @Option(help: "The read model's name.")
    var projection = "orders"

    @Option(help: "Seconds to measure.")
    var seconds: Double = 5

    func validate() throws {
      guard seconds > 0 else { throw ValidationError("--seconds is greater than 0.") }
      guard ReadModels.all.contains(where: { $0.name == projection }) else {
        let known = ReadModels.all.map(\.name).joined(separator: ", ")
        throw ValidationError("There is no read model '\(projection)'. They are: \(known).")
      }
    }

    func run() async throws {
      let log = try await database.openLog(Logger(label: "bench"))
      let store = MongoReadModels(log.database)
      let collection = "\(projection)__naive"
      for model in ReadModels.all where model.name == projection {
        try await store.drop(collection)
        try await store.prepare(collection, indexes: model.indexes)
        let rate = try await rate(of: model, over: log, into: collection, of: store)
        try await store.drop(collection)
        print("rebuild.\(projection).naive \(Int(rate)) events/s")
      }
    }

    /// Events a second, from the first one that touches a row until the time or the log is over. The
    /// log is read in batches: only the rows are dealt with naively.
    private func rate<P: Projection>(
      of projection: P, over log: MongoLog, into collection: String, of store: MongoReadModels
    ) async throws -> Double {
      var position = Position.start
      var count = 0
      var started: ContinuousClock.Instant?
      while true {
        let commits = try await log.read(after: position, limit: 1000)
        guard let last = commits.last else { break }
        for event in commits.flatMap(\.events) {
          let ids =
            projection.consumes.takes(event) ? try projection.rows(touchedBy: event) : []
          if started == nil, !ids.isEmpty { started = .now }
          guard let start = started else { continue }
          for id in ids { try await fold(event, projection, id, collection, store) }
          count += 1
          if .now - start >= .seconds(seconds) { return Self.rate(count, since: start) }
        }
        position = last.header.lastPosition
      }
      guard let started else {
        throw CommandFailure(description: "No event of this log touches \(projection.name).")
      }
      return Self.rate(count, since: started)
    }

    private func fold<P: Projection>(
      _ event: Recorded, _ projection: P, _ id: String, _ collection: String,
      _ store: MongoReadModels
    ) async throws {
      let stored = try await store.load([id], from: collection)[id]
      var row = try stored.map { try P.Row(fields: $0.fields) }
      try projection.apply(event, to: &row, id: id)
      guard let changed = row else { return }
      try await store.write(
        [StoredRow(id: id, position: event.position, fields: changed.fields)], to: collection)
    }

    private static func rate(_ count: Int, since start: ContinuousClock.Instant) -> Double {
      Double(count) / ((ContinuousClock.now - start) / .seconds(1))
    }
  }
}
