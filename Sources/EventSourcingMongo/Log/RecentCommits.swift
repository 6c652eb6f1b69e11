import EventSourcing
import Synchronization

/// The last commits that this process has appended, durable all of them: who follows the log
/// closely finds them here and need not ask the database.
///
/// One unbroken run of positions. A commit of another process in between ends it, and a new run
/// begins behind that. Bounded in number and in size; while nobody reads, nothing is kept.
final class RecentCommits: Sendable {
  /// Who follows the log reads at least once a second.
  private static let attention: Duration = .seconds(5)

  private struct Ring {
    /// The commit that was added as the n-th stands at n modulo the size.
    var slots: [(commit: RecordedCommit, size: Int)?]
    let bytesMax: Int
    var bytes = 0
    var added = 0
    /// The first one of the run that is still here.
    var first = 0
    /// When somebody read the last time.
    var readAt: ContinuousClock.Instant?

    subscript(_ number: Int) -> RecordedCommit? { slots[number % slots.count]?.commit }

    mutating func append(_ commit: RecordedCommit, size: Int) {
      if added - first == slots.count { letGoFirst() }
      slots[added % slots.count] = (commit, size)
      added += 1
      bytes += size
      while bytes > bytesMax { letGoFirst() }
    }

    mutating func letGo() {
      while first < added { letGoFirst() }
    }

    private mutating func letGoFirst() {
      bytes -= slots[first % slots.count]?.size ?? 0
      slots[first % slots.count] = nil
      first += 1
    }
  }

  private let ring: Mutex<Ring>

  init(commitsMax: Int, bytesMax: Int) {
    ring = Mutex(Ring(slots: Array(repeating: nil, count: commitsMax), bytesMax: bytesMax))
  }

  /// Adds commits that follow each other, with about the memory that each holds, in bytes.
  func add(_ commits: some Collection<(commit: RecordedCommit, size: Int)>) {
    guard let first = commits.first?.commit else { return }
    ring.withLock { ring in
      guard let readAt = ring.readAt, .now - readAt < Self.attention else { return ring.letGo() }
      if ring.added > ring.first,
        ring[ring.added - 1]?.header.lastPosition != first.header.firstPosition.before
      {
        ring.letGo()
      }
      for (commit, size) in commits { ring.append(commit, size: size) }
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
