import Synchronization

/// Joins calls that come while one is under way into the next one: what a durable write costs
/// MongoDB hardly depends on how much is in it. A lone call goes at once; while they come in crowds,
/// more are waited for between two batches.
final class Gathering<Input: Sendable, Output: Sendable>: Sendable {
  private struct Waiting: Sendable {
    var input: Input
    var outcome: CheckedContinuation<Output, any Error>
  }

  private struct State {
    var waiting: [Waiting] = []
    var isRunning = false
  }

  private static var crowd: Int { 3 }
  private static var pause: Duration { .milliseconds(8) }

  private let countMax: Int
  private let perform: @Sendable ([Input]) async throws -> [Output]
  private let state = Mutex(State())

  /// - Parameter perform: answers as many as it is given, in the same order; what it throws is
  ///   thrown to all of them.
  init(countMax: Int = 500, perform: @escaping @Sendable ([Input]) async throws -> [Output]) {
    self.countMax = countMax
    self.perform = perform
  }

  func callAsFunction(_ input: Input) async throws -> Output {
    try await withCheckedThrowingContinuation { outcome in
      let mustStart = state.withLock { state in
        state.waiting.append(Waiting(input: input, outcome: outcome))
        defer { state.isRunning = true }
        return !state.isRunning
      }
      if mustStart { Task { await self.run() } }
    }
  }

  /// Until nobody waits.
  private func run() async {
    while let taken = take() {
      do {
        let outputs = try await perform(taken.map(\.input))
        for (waiting, output) in zip(taken, outputs) { waiting.outcome.resume(returning: output) }
      } catch {
        for waiting in taken { waiting.outcome.resume(throwing: error) }
      }
      if taken.count >= Self.crowd { try? await Task.sleep(for: Self.pause) }
    }
  }

  private func take() -> [Waiting]? {
    state.withLock { state in
      let taken = Array(state.waiting.prefix(countMax))
      state.waiting.removeFirst(taken.count)
      state.isRunning = !taken.isEmpty
      return taken.isEmpty ? nil : taken
    }
  }
}
