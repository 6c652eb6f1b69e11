import Foundation

/// An append-only log of commits in one total order.
///
/// Two conformers, ``InMemoryLog`` and `MongoLog`, pass the same suite
/// (`EventSourcingTesting.LogConformance`). Promised by both: positions 1…N and versions 1…n
/// without a hole; a commit is there whole or not at all; of several appends that expect the same
/// version one wins; a command id has one effect; what `read` returned once never changes, and no
/// event ever appears at or below a position that was read past.
public protocol EventLog: Sendable {
  /// Queues a commit, in the order of the calls of one thread, and returns at once.
  ///
  /// The ticket's outcome throws ``AppendConflict``, ``CommandIDReused`` or ``AppendFailure``.
  func enqueue(_ commit: ProposedCommit) -> AppendTicket

  /// Whether so much is appended at the moment.
  func isUnder(_ pressure: AppendPressure) -> Bool

  /// Called by background work between two steps: returns as soon as less is appended than that, and
  /// after `longest` in any case. Answers whether it was as much.
  @discardableResult
  func giveWay(atMost longest: Duration, to pressure: AppendPressure) async -> Bool

  /// Whether an append would be refused now, since too many have no outcome yet.
  var isOverloaded: Bool { get }

  /// Whole commits in order, from the first event after `position`; at most `limit` commits, fewer
  /// at the end. A position inside a commit gives the rest of that commit.
  /// - Throws: ``LogCorruption`` on a hole.
  func read(after position: Position, limit: Int) async throws -> [RecordedCommit]

  /// The commits whose first position is in `positions`, and of their events those that `selection`
  /// takes. The others are not decoded.
  /// - Throws: ``LogCorruption`` on a hole between two of these commits.
  func scan(_ positions: Range<Position>, for selection: EventSelection) async throws -> LogSlice

  /// A stream's events in order, from `version` (inclusive), at most `limit`.
  func readStream(_ stream: StreamName, from version: Version, limit: Int) async throws
    -> [Recorded]

  /// The head of a stream, `.none` when it has no event.
  func version(of stream: StreamName) async throws -> Version

  /// The position of the last durable event, `.start` when the log is empty.
  func head() async throws -> Position

  /// The commit that a command id wrote, or nil.
  func commit(of command: CommandID) async throws -> RecordedCommit?

  /// Events that a filter selects, see ``EventQuery``.
  func events(matching query: EventQuery) async throws -> [Recorded]

  /// The events at these positions, in the order of the log, each once. A position that the log
  /// does not have is left out.
  func events(at positions: [Position]) async throws -> [Recorded]

  /// Counts by type and in total.
  func statistics() async throws -> LogStatistics

  /// Returns when the log may have events after `position`, or after `timeout`: a doorbell, not
  /// a promise.
  /// - Returns: false when there were none until a moment ago, and any that come will be told of: who
  ///   stands at `position` need not read. True says nothing.
  @discardableResult
  func waitForEvents(after position: Position, timeout: Duration) async -> Bool
}

extension EventLog {
  public var isOverloaded: Bool { false }

  public func isUnder(_ pressure: AppendPressure) -> Bool { false }

  public func giveWay(atMost longest: Duration, to pressure: AppendPressure) async -> Bool {
    false
  }

  /// Appends a commit and waits until it is durable.
  @discardableResult
  public func append(_ commit: ProposedCommit) async throws -> Appended {
    try await enqueue(commit).value()
  }

  /// All events of a stream from `version` on.
  public func stream(_ stream: StreamName, from version: Version = Version(1)) async throws
    -> [Recorded]
  {
    var events: [Recorded] = []
    var next = version
    while true {
      let page = try await readStream(stream, from: next, limit: 1000)
      events += page
      guard page.count == 1000, let last = page.last else { return events }
      next = last.version + 1
    }
  }
}

/// Which events, in which order, how many.
public struct EventQuery: Sendable {
  public enum Filter: Sendable, Hashable {
    case all
    case type(String)
    case category(String)
    case stream(StreamName)
    case correlation(UUID)
  }

  public var filter: Filter
  /// Only events after this position (ascending) or before it (descending).
  public var after: Position?
  public var isDescending: Bool
  public var offset: Int
  public var limit: Int

  public init(
    _ filter: Filter, after: Position? = nil, isDescending: Bool = false, offset: Int = 0,
    limit: Int = 100
  ) {
    self.filter = filter
    self.after = after
    self.isDescending = isDescending
    self.offset = offset
    self.limit = limit
  }
}

public struct LogStatistics: Sendable {
  public struct TypeCount: Sendable {
    public var type: String
    public var count: Int64
    public var latest: Timestamp

    public init(type: String, count: Int64, latest: Timestamp) {
      self.type = type
      self.count = count
      self.latest = latest
    }
  }

  public var events: Int64
  public var commits: Int64
  public var categories: [String]
  public var types: [TypeCount]

  public init(events: Int64, commits: Int64, categories: [String], types: [TypeCount]) {
    self.events = events
    self.commits = commits
    self.categories = categories
    self.types = types
  }
}
