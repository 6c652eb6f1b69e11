import EventSourcing
import Foundation
import Logging
import Mongo
import Synchronization

/// The event log on MongoDB: one document a commit, `_id` its position.
///
/// See `docs/adr/0001` for the layout and `docs/adr/0003` for the appender. Reads are at majority:
/// what was read once is never rolled back.
public final class MongoLog: EventLog {
  /// About the memory that appends without an outcome hold, in bytes, at most: those of requests,
  /// and as much again those of background work.
  private static let outstandingBytesMax = 64 << 20
  private static let recentCommitsMax = 32_768
  private static let recentBytesMax = 64 << 20

  public let database: MongoDatabase
  public let doorbell: Doorbell
  private let writer: LogWriter
  private let queue: AppendQueue
  private let recent = RecentCommits(
    commitsMax: MongoLog.recentCommitsMax, bytesMax: MongoLog.recentBytesMax)
  /// For reading the log from end to end.
  private let readers: MongoDatabase
  private let statisticsCache = Mutex(LogStatisticsFold())

  private init(
    database: MongoDatabase, readers: MongoDatabase, outstandingMax: Int, logger: Logger
  ) {
    self.database = database
    self.readers = readers
    let doorbell = Doorbell()
    self.doorbell = doorbell
    queue = AppendQueue(
      countMax: outstandingMax, bytesMax: Self.outstandingBytesMax)
    writer = LogWriter(
      connection: database.dedicatedConnection(name: "append"),
      lookups: database.dedicatedConnection(name: "append-lookups"), queue: queue,
      recent: recent, doorbell: doorbell, logger: logger)
  }

  /// Opens the log and creates its indexes when missing.
  /// - Parameters:
  ///   - readers: connections for ``read(after:limit:)``; nil: those of `database`.
  ///   - outstandingMax: appends without an outcome, at most; beyond it an append fails at once
  ///     with ``AppendFailure/overloaded``.
  public static func open(
    _ database: MongoDatabase, readers: MongoDatabase? = nil, outstandingMax: Int = 20_000,
    logger: Logger
  ) async throws -> MongoLog {
    _ = try await database.withConnection { connection in
      try connection.writeCommand(
        LogCollection.createIndexes, operation: "create the log's indexes")
    }
    let log = MongoLog(
      database: database, readers: readers ?? database, outstandingMax: outstandingMax,
      logger: logger)
    log.doorbell.ring(try await log.head())
    return log
  }

  public func enqueue(_ commit: ProposedCommit) -> AppendTicket {
    let ticket = AppendTicket()
    if let defect = commit.defect {
      ticket.settle(.failure(AppendFailure.invalid(defect)))
      return ticket
    }
    // Behind what it was built on: an append never overtakes one of the same stream.
    let isBackground = WorkPriority.isBackground || commit.builtOn.contains(where: \.isBackground)
    if isBackground { ticket.markBackground() }
    switch queue.add(Submission(commit: commit, ticket: ticket, isBackground: isBackground)) {
    case .queued(let mustWake): if mustWake { writer.wake() }
    case .full: ticket.settle(.failure(AppendFailure.overloaded))
    }
    return ticket
  }

  /// Appends that have no outcome yet.
  public var outstanding: Int { queue.outstanding }

  /// What this process has appended up to here rings the doorbell as soon as it is known to be
  /// durable, see ``LogWriter/sent``.
  var sentThrough: Position { Position(writer.sent.load(ordering: .relaxed)) }

  /// Appends whose expectation was not met, since the log was opened.
  public var conflicts: Int { queue.conflicts.load(ordering: .relaxed) }

  public func isUnder(_ pressure: AppendPressure) -> Bool { queue.isUnder(pressure) }

  public func giveWay(atMost longest: Duration, to pressure: AppendPressure) async -> Bool {
    guard queue.isUnder(pressure) else { return false }
    let deadline = ContinuousClock.now + longest
    while queue.isUnder(pressure), .now < deadline, !Task.isCancelled {
      try? await Task.sleep(for: .milliseconds(10))
    }
    return true
  }

  public var isOverloaded: Bool { queue.isFull }

  public func read(after position: Position, limit: Int) async throws -> [RecordedCommit] {
    if let recent = recent.read(after: position, limit: limit) { return recent }
    return try await readers.withConnection { connection in
      let commits = try connection.find(
        LogCollection.after(position), in: LogCollection.name,
        options: LogCollection.options(sort: 1, limit: limit), decode: CommitDocument.decode)
      var next = position + 1
      var prefix: [RecordedCommit] = []
      if position > .start, commits.first?.header.firstPosition != next {
        // Inside a commit, at the end of the log, or before a hole.
        let around = try connection.find(
          LogCollection.atOrBefore(position), in: LogCollection.name,
          options: LogCollection.options(sort: -1, limit: 1), decode: CommitDocument.decode)
        if let commit = around.first, commit.header.lastPosition > position {
          prefix = [commit.suffix(after: position)]
          next = commit.header.lastPosition + 1
        }
      }
      for commit in commits {
        guard commit.header.firstPosition == next else {
          throw LogCorruption(
            position: next, reason: "the next commit is at \(commit.header.firstPosition)")
        }
        next = commit.header.lastPosition + 1
      }
      return Array((prefix + commits).prefix(limit))
    }
  }

  public func scan(
    _ positions: Range<Position>, for selection: EventSelection
  ) async throws -> LogSlice {
    let decoder = SelectiveDecoder(selection)
    return try await readers.withConnection { connection in
      var slice = SliceBuilder()
      try connection.forEach(
        LogCollection.beginning(in: positions), in: LogCollection.name,
        options: LogCollection.options(sort: 1, limit: positions.count)
      ) { view in
        let commit = try decoder.decode(view)
        try slice.add(commit.first, eventCount: commit.eventCount, commit.events)
      }
      return slice.slice
    }
  }

  public func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] {
    let first = max(version.rawValue, 1)
    let commits = try await database.withConnection { connection in
      try connection.find(
        LogCollection.ofStream(stream, versions: first...(first + Int64(limit) - 1)),
        in: LogCollection.name, options: LogCollection.options(hint: "stream"),
        decode: CommitDocument.decode)
    }
    let events = commits.flatMap(\.events)
      .filter { $0.stream == stream && $0.version.rawValue >= first }
      .sorted { $0.version < $1.version }
      .prefix(limit)
    for (index, event) in events.enumerated() where event.version.rawValue != first + Int64(index) {
      throw LogCorruption(
        position: event.position, reason: "stream \(stream) lacks version \(first + Int64(index))")
    }
    return Array(events)
  }

  public func version(of stream: StreamName) async throws -> Version {
    try await database.withConnection { try $0.version(of: stream) }
  }

  public func head() async throws -> Position {
    try await database.withConnection { try $0.lastCommit()?.last ?? .start }
  }

  public func commit(of command: CommandID) async throws -> RecordedCommit? {
    try await database.withConnection { try $0.commit(of: command) }
  }

  public func waitForEvents(after position: Position, timeout: Duration) async -> Bool {
    await doorbell.wait(after: position, timeout: timeout)
    return doorbell.head > position || !doorbell.isWatched
  }

  public func statistics() async throws -> LogStatistics {
    while true {
      let position = statisticsCache.withLock(\.position)
      let commits = try await read(after: position, limit: 5000)
      let statistics = statisticsCache.withLock { fold in
        fold.apply(commits)
        return fold.statistics
      }
      if commits.count < 5000 { return statistics }
    }
  }

  public func events(matching query: EventQuery) async throws -> [Recorded] {
    switch query.filter {
    case .stream(let stream) where query.after == nil && !query.isDescending:
      return try await readStream(
        stream, from: Version(Int64(query.offset) + 1), limit: query.limit)
    default: return try await scan(query)
    }
  }

  public func events(at positions: [Position]) async throws -> [Recorded] {
    let wanted = Set(positions)
    guard !wanted.isEmpty else { return [] }
    let commits = try await database.withConnection { try $0.commits(holding: wanted) }
    return commits.flatMap(\.events).filter { wanted.contains($0.position) }
  }

  /// Follows an index in the order of positions until the page is full.
  private func scan(_ query: EventQuery) async throws -> [Recorded] {
    var events: [Recorded] = []
    var skipped = 0
    let cursor = database.find(
      query.document, in: LogCollection.name,
      options: LogCollection.options(sort: query.isDescending ? -1 : 1),
      batch: max(1, min(1000, query.offset + query.limit)), decode: CommitDocument.decode)
    for try await commit in cursor {
      for event in query.isDescending ? commit.events.reversed() : commit.events {
        guard query.filter.accepts(event), query.includes(event.position) else { continue }
        if skipped < query.offset {
          skipped += 1
        } else if events.count < query.limit {
          events.append(event)
        }
      }
      if events.count >= query.limit { break }
    }
    return events
  }
}

extension EventQuery {
  fileprivate func includes(_ position: Position) -> Bool {
    guard let after else { return true }
    return isDescending ? position < after : position > after
  }

  /// The commits that can hold such events. A commit that spans `after` is among them.
  fileprivate var document: BSONDocument {
    BSONDocument { writer in
      switch filter {
      case .all: break
      case .type(let type): writer.append("events.event_type", type)
      case .category(let category): writer.append("events.aggregate_type", category)
      case .stream(let stream):
        writer.append("events.aggregate_type", stream.category)
        writer.append("events.aggregate_id", stream.id)
      case .correlation(let id): writer.append("correlation_id", uuid: id)
      }
      guard let after else { return }
      writer.appendDocument("_id") { writer in
        let least = after.rawValue - Int64(ProposedCommit.maximumEvents) + 1
        writer.append(isDescending ? "$lt" : "$gte", isDescending ? after.rawValue : least)
      }
    }
  }
}

/// Counts by type, kept up with the log: each event is counted once.
struct LogStatisticsFold: Sendable {
  private(set) var position = Position.start
  private var commits: Int64 = 0
  private var categories: Set<String> = []
  private var types: [String: LogStatistics.TypeCount] = [:]

  mutating func apply(_ new: [RecordedCommit]) {
    for commit in new where commit.header.firstPosition > position {
      commits += 1
      position = commit.header.lastPosition
      for event in commit.events {
        categories.insert(event.stream.category)
        var count =
          types[event.type]
          ?? LogStatistics.TypeCount(type: event.type, count: 0, latest: event.timestamp)
        count.count += 1
        count.latest = max(count.latest, event.timestamp)
        types[event.type] = count
      }
    }
  }

  var statistics: LogStatistics {
    LogStatistics(
      events: position.rawValue, commits: commits, categories: categories.sorted(),
      types: types.values.sorted { ($1.count, $0.type) < ($0.count, $1.type) })
  }
}
