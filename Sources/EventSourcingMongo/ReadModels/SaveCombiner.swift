import EventSourcing
import Mongo
import Synchronization

/// Joins what the holders of leases in a process save at about the same time into one command: what
/// a durable write costs MongoDB hardly depends on how much is in it.
final class SaveCombiner: Sendable {
  struct Save: Sendable {
    let lease: Lease
    /// To the document that the lease is of.
    let change: BSONDocument
  }

  /// How long the first one waits for the others, who were woken by the same event.
  private static let gathering: Duration = .milliseconds(1)

  private struct Waiting: Sendable {
    var save: Save
    var outcome: CheckedContinuation<LeaseState, any Error>
  }

  private struct State {
    var waiting: [Waiting] = []
    var isRunning = false
  }

  private let database: MongoDatabase
  private let state = Mutex(State())

  init(_ database: MongoDatabase) { self.database = database }

  func save(_ save: Save) async throws -> LeaseState {
    try await withCheckedThrowingContinuation { outcome in
      let mustStart = state.withLock { state in
        state.waiting.append(Waiting(save: save, outcome: outcome))
        defer { state.isRunning = true }
        return !state.isRunning
      }
      if mustStart { Task { await self.run() } }
    }
  }

  /// Until nobody waits.
  private func run() async {
    while true {
      try? await Task.sleep(for: Self.gathering)
      let taken = state.withLock { state in
        let taken = state.waiting
        state.waiting = []
        state.isRunning = !taken.isEmpty
        return taken
      }
      if taken.isEmpty { return }
      do {
        let isUndisputed = try await saveAll(taken.map(\.save))
        for one in taken where isUndisputed { one.outcome.resume(returning: .held) }
        if !isUndisputed { await saveOneByOne(taken) }
      } catch {
        for one in taken { one.outcome.resume(throwing: error) }
      }
    }
  }

  /// True when all leases were held and nobody has asked for one.
  private func saveAll(_ saves: [Save]) async throws -> Bool {
    let writes = saves.map { save in
      MongoConnection.Write.update(
        filter: ProgressDocument.undisputed(save.lease), with: save.change, upsert: false)
    }
    let reply = try await database.withConnection {
      try $0.write(writes, to: ProgressDocument.collection)
    }
    try reply.check(operation: "save progress")
    return reply.matchedCount == saves.count
  }

  private func saveOneByOne(_ taken: [Waiting]) async {
    for one in taken {
      do {
        one.outcome.resume(returning: try await saveDisputed(one.save))
      } catch {
        one.outcome.resume(throwing: error)
      }
    }
  }

  private func saveDisputed(_ save: Save) async throws -> LeaseState {
    try await database.withConnection { connection in
      let held = ProgressDocument.held(save.lease)
      let reply = try connection.write(
        [.update(filter: held, with: save.change, upsert: false)],
        to: ProgressDocument.collection)
      try reply.check(operation: "save progress")
      guard reply.matchedCount > 0 else { return .lost }
      let request =
        try connection.find(
          ProgressDocument.named(save.lease.name), in: ProgressDocument.collection,
          options: ProgressDocument.holderOptions, decode: ProgressDocument.decodeRequest
        ).first ?? nil
      guard let isWanted = request else { return .held }
      if isWanted { return .wanted }
      // Who had asked is gone.
      _ = try connection.write(
        [.update(filter: held, with: ProgressDocument.withdrawal, upsert: false)],
        to: ProgressDocument.collection)
      return .held
    }
  }
}
