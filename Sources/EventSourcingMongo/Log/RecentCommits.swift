import EventSourcing
import Synchronization

/// The last commits that this process has appended, durable all of them: who follows the log
/// closely finds them here and need not ask the database.
///
/// One unbroken run of positions. A commit of another process in between ends it, and a new run
/// begins behind that. While nobody reads, nothing is kept.
final class RecentCommits: Sendable {
  /// Who follows the log reads at least once a second.
  private static let attention: Duration = .seconds(5)

  private struct Ring {
    /// The commit that was added as the n-th stands at n modulo the size.
    var slots: [RecordedCommit?]
    var added = 0
    /// The first one of the run that is still here.
    var first = 0
    /// When somebody read the last time.
    var readAt: ContinuousClock.Instant?

    subscript(_ number: Int) -> RecordedCommit? { slots[number % slots.count] }

    mutating func append(_ commit: RecordedCommit) {
      slots[added % slots.count] = commit
      added += 1
      first = max(first, added - slots.count)
    }

    mutating func letGo() {
      if added == first { return }
      slots = Array(repeating: nil, count: slots.count)
      first = added
    }
  }

  private let ring: Mutex<Ring>

  init(commitsMax: Int) {
    ring = Mutex(Ring(slots: Array(repeating: nil, count: commitsMax)))
  }

  /// Adds commits that follow each other.
  func add(_ commits: some Collection<RecordedCommit>) {
    guard let first = commits.first else { return }
    ring.withLock { ring in
      guard let readAt = ring.readAt, .now - readAt < Self.attention else { return ring.letGo() }
      if ring.added > ring.first,
        ring[ring.added - 1]?.header.lastPosition != first.header.firstPosition.before
      {
        ring.first = ring.added
      }
      for commit in commits { ring.append(commit) }
    }
  }

  /// Whole commits from the first event after `position`, as far as they are here; nil when the
  /// first of them is not.
  func read(after position: Position, limit: Int) -> [RecordedCommit]? {
    ring.withLock { ring in
      ring.readAt = .now
      var low = ring.first
      var high = ring.added
      while low < high {
        let middle = (low + high) / 2
        if let commit = ring[middle], commit.header.lastPosition > position {
          high = middle
        } else {
          low = middle + 1
        }
      }
      // Inside a commit: the log itself cuts it.
      guard low < ring.added, ring[low]?.header.firstPosition == position + 1 else { return nil }
      return (low..<min(ring.added, low + limit)).compactMap { ring[$0] }
    }
  }
}

extension Position {
  fileprivate var before: Position { Position(rawValue - 1) }
}
