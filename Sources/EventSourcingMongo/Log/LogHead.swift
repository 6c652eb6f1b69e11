import EventSourcing

/// What an appender knows of the log: where it ends, the last hash, and the heads of the streams
/// that it has met. Exact up to `end`: every commit up to there went through `apply`, or the
/// stream's head was looked up.
struct LogHead {
  /// Where the log ends: enough to go back to when a batch fails.
  struct End {
    /// The position of the last event.
    var position: Position
    var hash: [UInt8]
  }

  private(set) var end: End
  private var streams = RecencyCache<StreamName, Version>(capacity: 100_000)

  init(after last: CommitOutline?) {
    end = End(
      position: last.map { $0.position + ($0.eventCount - 1) } ?? .start,
      hash: last?.hash ?? CommitDocument.noHash)
  }

  mutating func version(of stream: StreamName) -> Version? { streams[stream] }

  /// Takes a version that was looked up; a higher one that is known already stays.
  mutating func learn(_ version: Version, of stream: StreamName) {
    if let known = streams[stream], known >= version { return }
    streams[stream] = version
  }

  mutating func apply(_ document: CommitDocument) {
    for event in document.commit.events { streams[event.stream] = event.version }
    end = End(position: document.commit.header.lastPosition, hash: document.hash)
  }

  mutating func apply(_ outline: CommitOutline) throws {
    guard outline.position == end.position + 1 else {
      throw LogCorruption(
        position: end.position + 1, reason: "the next commit is at position \(outline.position)")
    }
    for (stream, version) in outline.versions { streams[stream] = version }
    end = End(position: outline.position + (outline.eventCount - 1), hash: outline.hash)
  }

  /// Takes back commits that were applied and did not get into the log; `end` is the end before
  /// them. Their streams have to be looked up again.
  mutating func takeBack(_ documents: some Sequence<CommitDocument>, to end: End) {
    for document in documents {
      for event in document.commit.events { streams[event.stream] = nil }
    }
    self.end = end
  }
}

extension LogHead {
  enum Verdict {
    /// Numbered: the log ends with it now.
    case taken(CommitDocument)
    /// No log may hold it.
    case invalid(AppendFailure)
    /// A stream that it names has not been met yet.
    case lookUp
    /// Built on an append that is neither settled nor numbered before it.
    case wait
    case refuse(AppendConflict)
  }

  /// Gives a commit its positions, versions and hash, if it may come next. `series` marks what is
  /// numbered and not settled yet.
  mutating func take(_ commit: ProposedCommit, series: Int) -> Verdict {
    for ticket in commit.builtOn {
      switch ticket.standing {
      case .numbered(series): continue
      case .settled(let outcome) where outcome.isFirst: continue
      case .queued, .numbered: return .wait
      case .settled:
        return .refuse(.onFailedAppend(commit))
      }
    }
    // Most commits are about one stream: it is looked up once.
    var met: (stream: StreamName, version: Version)?
    for (stream, expected) in commit.expectations {
      guard let actual = version(of: stream) else {
        guard commit.isNew(stream, expected) else { return .lookUp }
        met = (stream, .none)
        continue
      }
      if !expected.accepts(actual) {
        return .refuse(AppendConflict(stream: stream, expected: expected, actual: actual))
      }
      met = (stream, actual)
    }
    for event in commit.events
    where event.stream != met?.stream && commit.expectations[event.stream] == nil {
      guard let actual = version(of: event.stream) else { return .lookUp }
      met = (event.stream, actual)
    }
    let versions = commit.versions { stream in
      if let met, met.stream == stream { met.version } else { version(of: stream) ?? .none }
    }
    return number(commit, versions)
  }

  /// The streams of a commit whose heads have to be looked up before it can be judged.
  mutating func collectUnknown(_ commit: ProposedCommit, into unknown: inout Set<StreamName>) {
    for (stream, expected) in commit.expectations
    where version(of: stream) == nil && !commit.isNew(stream, expected) {
      unknown.insert(stream)
    }
    for event in commit.events
    where commit.expectations[event.stream] == nil && version(of: event.stream) == nil {
      unknown.insert(event.stream)
    }
  }

  private mutating func number(_ commit: ProposedCommit, _ versions: [Version]) -> Verdict {
    let document = CommitDocument(
      RecordedCommit(commit, at: end.position + 1, versions: versions), chainedTo: end.hash)
    guard document.document.isValid else {
      return .invalid(.invalid("a field name holds a NUL character"))
    }
    guard document.document.bytes.count <= CommitDocument.bytesMax else {
      return .invalid(.invalid("a commit holds at most \(CommitDocument.bytesMax) bytes"))
    }
    apply(document)
    return .taken(document)
  }
}

extension AppendConflict {
  /// The decision was built on an append that failed.
  static func onFailedAppend(_ commit: ProposedCommit) -> AppendConflict {
    AppendConflict(stream: commit.events[0].stream, expected: .any, actual: nil)
  }
}

extension ProposedCommit {
  /// Whether the commit begins the stream: nobody needs to look, the unique index decides.
  fileprivate func isNew(_ stream: StreamName, _ expected: ExpectedVersion) -> Bool {
    expected == .noStream && events.contains { $0.stream == stream }
  }
}
