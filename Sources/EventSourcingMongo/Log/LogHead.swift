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

  mutating func forget(_ stream: StreamName) { streams[stream] = nil }

  mutating func apply(_ document: CommitDocument) {
    for event in document.commit.events { streams[event.stream] = event.version }
    end = End(position: document.commit.header.lastPosition, hash: document.hash)
  }

  mutating func apply(_ outline: CommitOutline) throws {
    guard outline.position == end.position + 1 else {
      throw LogCorruption(
        position: end.position + 1, reason: "the next commit is at position \(outline.position)")
    }
    for (stream, version) in outline.heads { streams[stream] = version }
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
