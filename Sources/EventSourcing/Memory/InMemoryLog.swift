import Foundation
import Synchronization

/// The log in memory: the second conformer of ``EventLog``, for tests and simulations. An append is
/// settled before `enqueue` returns.
public final class InMemoryLog: EventLog {
  private struct State {
    var commits: [RecordedCommit] = []
    var head = Position.start
    var versions: [StreamName: Version] = [:]
    var streams: [StreamName: [Recorded]] = [:]
    var commands: [CommandID: Int] = [:]
  }

  private let state = Mutex(State())
  private let doorbell = Doorbell()

  public init() {}

  public func enqueue(_ commit: ProposedCommit) -> AppendTicket {
    let ticket = AppendTicket()
    let outcome = state.withLock { Self.append(commit, to: &$0) }
    ticket.settle(outcome)
    if case .success(let appended) = outcome { doorbell.ring(appended.position) }
    return ticket
  }

  private static func append(
    _ commit: ProposedCommit, to state: inout State
  ) -> AppendTicket.Outcome {
    if let defect = commit.defect { return .failure(AppendFailure.invalid(defect)) }
    if let index = state.commands[commit.context.commandID] {
      let earlier = state.commits[index]
      if let old = earlier.header.context.fingerprint, let new = commit.context.fingerprint,
        old != new
      {
        return .failure(CommandIDReused(commandID: commit.context.commandID))
      }
      return .success(Appended(commit: earlier, isRepeated: true))
    }
    if commit.builtOn.contains(where: { $0.settled?.isFirst != true }) {
      return .failure(
        AppendConflict(stream: commit.events[0].stream, expected: .any, actual: nil))
    }
    for (stream, expected) in commit.expectations {
      let actual = state.versions[stream] ?? .none
      if !expected.accepts(actual) {
        return .failure(AppendConflict(stream: stream, expected: expected, actual: actual))
      }
    }
    let recorded = RecordedCommit(
      commit, at: state.head + 1, versions: commit.versions { state.versions[$0] ?? .none })
    state.commands[commit.context.commandID] = state.commits.count
    state.commits.append(recorded)
    state.head = recorded.header.lastPosition
    for event in recorded.events {
      state.versions[event.stream] = event.version
      state.streams[event.stream, default: []].append(event)
    }
    return .success(Appended(commit: recorded, isRepeated: false))
  }

  public func read(after position: Position, limit: Int) async throws -> [RecordedCommit] {
    state.withLock { state in
      let first = Self.firstCommit(endingAfter: position, in: state.commits)
      return state.commits[first..<min(first + limit, state.commits.count)].map {
        $0.suffix(after: position)
      }
    }
  }

  private static func firstCommit(
    endingAfter position: Position, in commits: [RecordedCommit]
  ) -> Int {
    var low = 0
    var high = commits.count
    while low < high {
      let middle = (low + high) / 2
      if commits[middle].header.lastPosition <= position {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }

  public func scan(
    _ positions: Range<Position>, for selection: EventSelection
  ) async throws -> LogSlice {
    let commits = try await read(
      after: Position(positions.lowerBound.rawValue - 1), limit: positions.count)
    let whole = commits.drop { $0.events.first?.index != 0 }
      .prefix { $0.header.firstPosition < positions.upperBound }
    return LogSlice(
      first: whole.first?.header.firstPosition, next: whole.last.map { $0.header.lastPosition + 1 },
      events: whole.flatMap { $0.events.filter(selection.takes) })
  }

  public func readStream(
    _ stream: StreamName, from version: Version, limit: Int
  ) async throws -> [Recorded] {
    state.withLock { state in
      let events = state.streams[stream] ?? []
      let start = max(0, Int(version.rawValue) - 1)
      guard start < events.count else { return [] }
      return Array(events[start...].prefix(limit))
    }
  }

  public func version(of stream: StreamName) async throws -> Version {
    state.withLock { $0.versions[stream] ?? .none }
  }

  public func head() async throws -> Position { state.withLock(\.head) }

  public func commit(of command: CommandID) async throws -> RecordedCommit? {
    state.withLock { state in state.commands[command].map { state.commits[$0] } }
  }

  public func events(matching query: EventQuery) async throws -> [Recorded] {
    let all = state.withLock { $0.commits.flatMap(\.events) }
    let selected = all.filter { event in
      if let after = query.after {
        guard query.isDescending ? event.position < after : event.position > after else {
          return false
        }
      }
      return query.filter.accepts(event)
    }
    let ordered = query.isDescending ? selected.reversed() : selected
    return Array(ordered.dropFirst(query.offset).prefix(query.limit))
  }

  public func events(at positions: [Position]) async throws -> [Recorded] {
    state.withLock { state in
      Set(positions).sorted().compactMap { position in
        guard position > .start, position <= state.head else { return nil }
        let before = Position(position.rawValue - 1)
        let commit = state.commits[Self.firstCommit(endingAfter: before, in: state.commits)]
        return commit.events[Int(position.rawValue - commit.header.firstPosition.rawValue)]
      }
    }
  }

  public func statistics() async throws -> LogStatistics {
    state.withLock { state in
      var types: [String: LogStatistics.TypeCount] = [:]
      for event in state.commits.lazy.flatMap(\.events) {
        var entry =
          types[event.type]
          ?? LogStatistics.TypeCount(type: event.type, count: 0, latest: event.timestamp)
        entry.count += 1
        entry.latest = max(entry.latest, event.timestamp)
        types[event.type] = entry
      }
      return LogStatistics(
        events: state.head.rawValue, commits: Int64(state.commits.count),
        categories: Set(state.versions.keys.map(\.category)).sorted(),
        types: types.values.sorted { ($1.count, $0.type) < ($0.count, $1.type) })
    }
  }

  public func waitForEvents(after position: Position, timeout: Duration) async -> Bool {
    await doorbell.wait(after: position, timeout: timeout)
    return doorbell.head > position
  }
}

extension EventQuery.Filter {
  public func accepts(_ event: Recorded) -> Bool {
    switch self {
    case .all: true
    case .type(let type): event.type == type
    case .category(let category): event.stream.category == category
    case .stream(let stream): event.stream == stream
    case .correlation(let id): event.correlationID == id
    }
  }
}

extension RecordedCommit {
  /// The events after `position`; all of them in the usual case.
  public func suffix(after position: Position) -> RecordedCommit {
    header.firstPosition > position
      ? self : RecordedCommit(header: header, events: events.filter { $0.position > position })
  }
}
