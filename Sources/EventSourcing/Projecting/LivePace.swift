/// Lets those who drive the serving rows go first: a rebuild works as fast as the machine allows, and
/// on a busy machine whoever asks for his own write would wait for seconds.
///
/// The rebuild pauses while the serving rows have not come to where the log ended a moment ago, and
/// still works for a quarter of the time, so that it ends on a machine that is never idle.
struct LivePace {
  /// Between two looks; what the serving rows may be behind.
  private static var look: Duration { .milliseconds(50) }
  private static var pause: Duration { .milliseconds(10) }
  private static var pausesPerWork: Int { 3 }

  private let name: String
  private let log: any EventLog
  private let store: any ReadModelStore
  /// Where the log ended at the last look.
  private var end: Position?
  private var resumed = ContinuousClock.now

  /// - Parameter name: the projection's.
  init(of name: String, log: any EventLog, store: any ReadModelStore) {
    self.name = name
    self.log = log
    self.store = store
  }

  /// Called between two pieces of work.
  mutating func giveWay() async throws {
    let start = ContinuousClock.now
    let worked = resumed.duration(to: start)
    guard worked >= Self.look else { return }
    if let end {
      while try await isBehind(end), start.duration(to: .now) < worked * Self.pausesPerWork {
        try await Task.sleep(for: Self.pause)
      }
    }
    end = try await log.head()
    resumed = .now
  }

  /// Who has stopped at an event that he cannot apply is not waited for.
  private func isBehind(_ end: Position) async throws -> Bool {
    guard let progress = try await store.progress(of: name) else { return false }
    return progress.position < end && progress.failure == nil
  }
}
