import Synchronization

/// Reads the log once for all who follow it at the same place: a page that one has asked for is
/// there for the others, and who asks while it is being read waits for the same reading.
///
/// Nobody waits for anybody slower: the pages that are kept are few, and who is far behind reads
/// pages of its own.
public final class SharedReader: Sendable {
  fileprivate struct Page {
    var after: Position
    var commits: [RecordedCommit]
  }

  fileprivate struct State {
    var pages: [Page] = []
    var reading: [Position: Task<[RecordedCommit], any Error>] = [:]
    var reads = 0
    /// Commits of the next page: fewer when they are large.
    var pageCommits = SharedReader.pageMax
  }

  fileprivate static let pagesMax = 4
  /// Commits of a reading: more than one follower may want at a time.
  public static let pageMax = 1000
  /// About how many events a page holds, so that memory stays bounded however large commits are.
  fileprivate static let pageEvents = 10_000

  public let log: any EventLog
  private let state = Mutex(State())

  public init(_ log: any EventLog) { self.log = log }

  /// How often the log itself was read.
  public var reads: Int { state.withLock(\.reads) }

  /// As ``EventLog/read(after:limit:)``, at most ``pageMax`` commits.
  public func read(after position: Position, limit: Int) async throws -> [RecordedCommit] {
    let found: Found = state.withLock { state in
      if let kept = state.page(after: position, limit: limit) { return .kept(kept) }
      if let task = state.reading[position] { return .reading(task) }
      state.reads += 1
      let task = Task { try await self.readPage(after: position) }
      state.reading[position] = task
      return .reading(task)
    }
    switch found {
    case .kept(let commits): return commits
    case .reading(let task): return Array(try await task.value.prefix(limit))
    }
  }

  private enum Found {
    case kept([RecordedCommit])
    case reading(Task<[RecordedCommit], any Error>)
  }

  private func readPage(after position: Position) async throws -> [RecordedCommit] {
    do {
      let limit = state.withLock(\.pageCommits)
      let commits = try await log.read(after: position, limit: limit)
      state.withLock { $0.end(position, commits, isFull: commits.count == limit) }
      return commits
    } catch {
      state.withLock { $0.reading[position] = nil }
      throw error
    }
  }
}

extension SharedReader.State {
  /// What a kept page has after `position`; nil when none has the commit that begins there.
  func page(after position: Position, limit: Int) -> [RecordedCommit]? {
    for page in pages where page.after <= position {
      guard let last = page.commits.last, last.header.lastPosition > position else { continue }
      var low = 0
      var high = page.commits.count
      while low < high {
        let middle = (low + high) / 2
        if page.commits[middle].header.lastPosition > position {
          high = middle
        } else {
          low = middle + 1
        }
      }
      guard page.commits[low].header.firstPosition == position + 1 else { continue }
      return Array(page.commits[low...].prefix(limit))
    }
    return nil
  }

  /// Only full pages are kept: behind a shorter one there may be more by now, and who is given less
  /// than there is falls behind.
  mutating func end(_ position: Position, _ commits: [RecordedCommit], isFull: Bool) {
    reading[position] = nil
    guard isFull else { return }
    let events = commits.reduce(0) { $0 + $1.events.count }
    let fitting = commits.count * SharedReader.pageEvents / max(events, 1)
    pageCommits = min(max(fitting, 1), SharedReader.pageMax)
    if pages.count == SharedReader.pagesMax { pages.removeFirst() }
    pages.append(SharedReader.Page(after: position, commits: commits))
  }
}
