import EventSourcing
import Mongo
import Synchronization

/// Joins the commits of the projections of a process, which come at about the same time, into one
/// transaction: what a commit costs MongoDB hardly depends on how much is in it.
///
/// They stay independent of each other: when the common one does not succeed, each is tried alone.
final class CommitCombiner: Sendable {
  /// Larger commits go alone: they would keep the small ones waiting.
  static let rowsMax = 500
  /// How long the first one waits for the others, who were woken by the same event.
  private static let gathering: Duration = .milliseconds(1)

  private struct Waiting: Sendable {
    var commit: ProjectionCommit
    var outcome: CheckedContinuation<Bool, any Error>
  }

  private struct State {
    var waiting: [Waiting] = []
    var isRunning = false
  }

  private let database: MongoDatabase
  private let state = Mutex(State())

  init(_ database: MongoDatabase) { self.database = database }

  func commit(_ commit: ProjectionCommit) async throws -> Bool {
    try await withCheckedThrowingContinuation { outcome in
      let mustStart = state.withLock { state in
        state.waiting.append(Waiting(commit: commit, outcome: outcome))
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
      await carryOut(taken)
    }
  }

  private func carryOut(_ taken: [Waiting]) async {
    if taken.count > 1,
      let isDone = try? await ProjectionCommit.carryOut(taken.map(\.commit), database), isDone
    {
      for one in taken { one.outcome.resume(returning: true) }
      return
    }
    await withDiscardingTaskGroup { group in
      for one in taken {
        group.addTask {
          do {
            one.outcome.resume(returning: try await one.commit.carryOut(self.database))
          } catch {
            one.outcome.resume(throwing: error)
          }
        }
      }
    }
  }
}
