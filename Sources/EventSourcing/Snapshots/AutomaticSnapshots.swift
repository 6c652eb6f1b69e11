import Synchronization

/// What a command handler does with snapshots: it reads a stream from its snapshot on, and has one
/// taken each time that a stream passes a multiple of ``Snapshots/interval`` events, less often when
/// its state is large.
///
/// Snapshots are taken of what the log holds, never of the handler's own states, which may be built
/// on appends that fail. One after the other, in a task of its own: no command waits for them.
@usableFromInline
final class AutomaticSnapshots<D: Decider>: Sendable {
  /// Streams that wait, at most; the next thousand events of one that is left out bring it again.
  private static var waitingMax: Int { 1000 }

  private struct Waiting {
    var versions: [StreamName: Version] = [:]
    var isAtWork = false
    /// From which version on the next one is due, as far as this process knows. Another one's
    /// snapshot may put it off.
    var due = RecencyCache<StreamName, Version>(capacity: AutomaticSnapshots.waitingMax)
  }

  private let snapshots: Snapshots
  private let empty: AggregateFold<D>
  private let waiting = Mutex(Waiting())

  init(_ snapshots: Snapshots) where D: SnapshottingDecider {
    self.snapshots = snapshots
    empty = AggregateFold(D.self)
  }

  /// The state and version of a stream; ``Version/none`` when it has no event.
  @usableFromInline
  func load(_ stream: StreamName) async throws -> (state: D.State, version: Version) {
    guard let folded = try await snapshots.fold(stream, with: empty) else {
      return (D.initial, .none)
    }
    return (folded.fold.state, folded.version)
  }

  /// Takes note of a commit that is durable.
  @usableFromInline
  func note(_ commit: RecordedCommit) {
    for event in commit.events
    where event.version.rawValue.isMultiple(of: Snapshots.interval)
      && event.stream.category == D.category
    {
      add(event.stream, event.version)
    }
  }

  private func add(_ stream: StreamName, _ version: Version) {
    let mustStart = waiting.withLock { waiting in
      guard waiting.versions.count < Self.waitingMax, waiting.due[stream] ?? .none <= version
      else { return false }
      waiting.versions[stream] = max(waiting.versions[stream] ?? .none, version)
      defer { waiting.isAtWork = true }
      return !waiting.isAtWork
    }
    guard mustStart else { return }
    Task.detached(priority: .background) {
      await WorkPriority.$isBackground.withValue(true) { await self.work() }
    }
  }

  private func work() async {
    while let (stream, version) = next() {
      await snapshots.log.giveWay(atMost: .seconds(1), to: .many)
      let due = await snapshots.takeIfDue(of: stream, with: empty, at: version)
      waiting.withLock { $0.due[stream] = due }
    }
  }

  private func next() -> (StreamName, Version)? {
    waiting.withLock { waiting in
      guard let stream = waiting.versions.keys.first,
        let version = waiting.versions.removeValue(forKey: stream)
      else {
        waiting.isAtWork = false
        return nil
      }
      return (stream, version)
    }
  }
}
