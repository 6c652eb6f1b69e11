import EventSourcing

/// What an appender knows of the log: where it ends, the last hash, and the heads of the streams
/// that it has met. Exact up to `end`: every commit up to there went through `apply`, or the
/// stream's head was looked up.
///
/// Unless it had to `jump` over a long tail: what it knew of streams before may be too low then. Who
/// writes to such a stream tries it all the same, since the unique index lets nobody write a version
/// twice; who only expects something of it has it looked up.
struct LogHead {
  /// Where the log ends: enough to go back to when a batch fails.
  struct End {
    /// The position of the last event.
    var position: Position
    var hash: [UInt8]
  }

  private struct Known {
    var version: Version
    /// The number of jumps by then.
    var jumps: Int
  }

  private(set) var end: End
  private var streams = RecencyCache<StreamName, Known>(capacity: 100_000)
  private var jumps = 0

  init(after last: CommitOutline?) {
    end = last?.end ?? End(position: .start, hash: CommitDocument.noHash)
  }

  /// Whether a stream is known to have that version, or a later one.
  mutating func knows(_ version: Version, of stream: StreamName) -> Bool {
    streams[stream].map { $0.version >= version } ?? false
  }

  /// Takes a version that was looked up; a higher one that is known already stays.
  mutating func learn(_ version: Version, of stream: StreamName) {
    let known = streams[stream]?.version ?? version
    note(max(known, version), of: stream)
  }

  private mutating func note(_ version: Version, of stream: StreamName) {
    streams[stream] = Known(version: version, jumps: jumps)
  }

  mutating func apply(_ document: CommitDocument) {
    for event in document.commit.events { note(event.version, of: event.stream) }
    end = End(position: document.commit.header.lastPosition, hash: document.hash)
  }

  mutating func apply(_ outline: CommitOutline) throws {
    guard outline.position == end.position + 1 else {
      throw LogCorruption(
        position: end.position + 1, reason: "the next commit is at position \(outline.position)")
    }
    for (stream, version) in outline.versions { note(version, of: stream) }
    end = outline.end
  }

  /// Goes to the end of the log without what lies between.
  mutating func jump(behind last: CommitOutline) {
    jumps += 1
    for (stream, version) in last.versions { note(version, of: stream) }
    end = last.end
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
      let known = streams[stream]
      if needsLook(known, stream, expected, commit) { return .lookUp }
      let version = known?.version ?? .none
      if !expected.accepts(version) {
        return .refuse(AppendConflict(stream: stream, expected: expected, actual: version))
      }
      met = (stream, version)
    }
    for event in commit.events
    where event.stream != met?.stream && commit.expectations[event.stream] == nil {
      guard let known = streams[event.stream] else { return .lookUp }
      met = (event.stream, known.version)
    }
    let versions = commit.versions { stream in
      if let met, met.stream == stream { met.version } else { streams[stream]?.version ?? .none }
    }
    return number(commit, versions)
  }

  /// The streams of a commit whose heads have to be looked up before it can be judged.
  mutating func collectUnknown(_ commit: ProposedCommit, into unknown: inout Set<StreamName>) {
    for (stream, expected) in commit.expectations
    where needsLook(streams[stream], stream, expected, commit) {
      unknown.insert(stream)
    }
    for event in commit.events
    where commit.expectations[event.stream] == nil && streams[event.stream] == nil {
      unknown.insert(event.stream)
    }
  }

  private func needsLook(
    _ known: Known?, _ stream: StreamName, _ expected: ExpectedVersion, _ commit: ProposedCommit
  ) -> Bool {
    if let known, known.jumps == jumps { return false }
    let isLikely = known.map { expected.accepts($0.version) } ?? (expected == .noStream)
    return !isLikely || !commit.writes(to: stream)
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
  /// Then the unique index has the last word on the stream's version.
  fileprivate func writes(to stream: StreamName) -> Bool {
    events.contains { $0.stream == stream }
  }
}
