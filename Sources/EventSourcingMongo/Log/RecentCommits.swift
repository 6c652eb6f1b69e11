import EventSourcing
import Synchronization

/// The last commits that this process has appended, durable all of them: who follows the log
/// closely finds them here and need not ask the database.
///
/// One unbroken run of positions. A commit of another process in between ends it, and a new run
/// begins behind that.
final class RecentCommits: Sendable {
  private struct Ring {
    var commits: [RecordedCommit] = []
    /// The first of `commits` that counts: what is before it has been dropped.
    var first = 0

    var live: ArraySlice<RecordedCommit> { commits[first...] }
  }

  private let commitsMax: Int
  private let ring = Mutex(Ring())

  init(commitsMax: Int) { self.commitsMax = commitsMax }

  /// Adds commits that follow each other.
  func add(_ commits: some Collection<RecordedCommit>) {
    guard let first = commits.first else { return }
    ring.withLock { ring in
      if let last = ring.commits.last,
        last.header.lastPosition + 1 != first.header.firstPosition
      {
        ring = Ring()
      }
      ring.commits.append(contentsOf: commits)
      ring.first = max(ring.first, ring.commits.count - commitsMax)
      if ring.first >= commitsMax {
        ring.commits.removeFirst(ring.first)
        ring.first = 0
      }
    }
  }

  /// Whole commits from the first event after `position`; nil when they are not all here, also
  /// when there may be newer ones of another process.
  func read(after position: Position, limit: Int) -> [RecordedCommit]? {
    ring.withLock { ring in
      let live = ring.live
      guard let oldest = live.first, let newest = live.last,
        oldest.header.firstPosition <= position + 1, newest.header.lastPosition > position
      else { return nil }
      var low = live.startIndex
      var high = live.endIndex
      while low < high {
        let middle = (low + high) / 2
        if live[middle].header.lastPosition > position { high = middle } else { low = middle + 1 }
      }
      // Inside a commit: the log itself cuts it.
      guard live[low].header.firstPosition == position + 1 else { return nil }
      return Array(live[low...].prefix(limit))
    }
  }
}
