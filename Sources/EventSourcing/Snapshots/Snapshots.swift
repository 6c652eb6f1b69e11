import Logging

/// A stream, folded up to some event.
public struct FoldedStream<Fold: SnapshottingFold>: Sendable {
  public fileprivate(set) var fold: Fold
  /// The last event that was folded.
  public fileprivate(set) var last: Recorded
  fileprivate var latestTimestamp: Timestamp
  /// Events that had to be read; the rest is of a snapshot.
  public fileprivate(set) var eventsRead: Int64

  public var version: Version { last.version }

  fileprivate mutating func apply(_ event: Recorded) throws {
    try fold.apply(event)
    last = event
    latestTimestamp = max(latestTimestamp, event.timestamp)
    eventsRead += 1
  }

  /// Nil when states of this kind are not kept.
  fileprivate func snapshot(takenAt time: Timestamp) -> Snapshot? {
    fold.snapshotSchema.map { schema in
      Snapshot(
        header: Snapshot.Header(
          stream: last.stream, version: last.version, position: last.position,
          eventID: last.eventID, timestamp: last.timestamp, latestTimestamp: latestTimestamp,
          schema: schema, takenAt: time),
        state: fold.snapshot)
    }
  }
}

/// Folds streams from their snapshots on, and takes new ones of what was long to fold.
///
/// A snapshot is believed only when it fits: its schema is the fold's own, its state can be read,
/// and the log holds the very event that it was taken at. Otherwise the stream is folded from its
/// first event. A store that fails is as good as an empty one.
public struct Snapshots: Sendable {
  /// A snapshot is taken when so many events lie behind the last one, or more of them after a
  /// large one: one for each ``bytesPerEvent`` of it.
  public static let interval: Int64 = 1000
  /// Less than an event takes in the log: what snapshots cost to write remains a part of what the
  /// events cost, however large the state grows, and the events behind one are read in about the
  /// time that it takes to be read itself.
  private static let bytesPerEvent = 512
  private static let pageSize = 1000
  private static let logger = Logger(label: "snapshots")

  let log: any EventLog
  /// Nil: every stream is folded from its first event.
  let store: (any SnapshotStore)?

  public init(log: any EventLog, store: (any SnapshotStore)?) {
    self.log = log
    self.store = store
  }

  /// Folds a stream, from its snapshot on when that lies inside `bound`. What took long is kept as
  /// a snapshot, in the background.
  /// - Parameter empty: a fold that has seen no event.
  /// - Returns: nil for a stream without events inside `bound`.
  public func fold<Fold: SnapshottingFold>(
    _ stream: StreamName, with empty: Fold, upTo bound: ReplayBound = ReplayBound()
  ) async throws -> FoldedStream<Fold>? {
    let kept = await snapshot(of: stream, schema: empty.snapshotSchema)
    let folded = try await fold(stream, from: kept, with: empty, upTo: bound)
    // A later snapshot than could be used need not give way.
    let isBehind = kept.map { bound.includes($0.header) } ?? true
    if let folded, isBehind, folded.eventsRead >= Self.pause(after: kept?.state) {
      keepLater(folded)
    }
    return folded
  }

  /// The events that lie between a snapshot of that state and the next one, at least.
  private static func pause(after state: Fields?) -> Int64 {
    max(interval, Int64((state?.approximateSize ?? 0) / bytesPerEvent))
  }

  /// Takes a snapshot now, of the whole stream or of its first `version` events.
  /// - Returns: the snapshot that is kept then, this one or one that is as good or better. Nil for
  ///   a stream without events, and for a kind of which none is kept.
  /// - Throws: ``SnapshotTooLarge``.
  public func take(
    of stream: StreamName, with empty: some SnapshottingFold, upTo version: Version? = nil
  ) async throws -> Snapshot.Header? {
    let kept = await snapshot(of: stream, schema: empty.snapshotSchema)
    guard let store, let snapshot = try await snapshot(of: stream, from: kept, empty, version)
    else { return nil }
    if try await store.save(snapshot) { return snapshot.header }
    return try await store.snapshot(of: stream)?.header ?? snapshot.header
  }

  /// The same in the background's own time, and only when it is due: failing is as good as not
  /// having tried.
  /// - Returns: the version from which on the next one is due.
  func takeIfDue(
    of stream: StreamName, with empty: some SnapshottingFold, at version: Version
  ) async -> Version {
    let kept = await snapshot(of: stream, schema: empty.snapshotSchema)
    if let kept {
      let due = kept.header.version + Int(Self.pause(after: kept.state))
      if due > version { return due }
    }
    var state = kept?.state
    do {
      if let snapshot = try await snapshot(of: stream, from: kept, empty, version) {
        state = snapshot.state
        _ = try await store?.save(snapshot)
      }
    } catch {
      Self.note(error, of: stream)
    }
    return version + Int(Self.pause(after: state))
  }

  /// The stream, or its first `version` events, as a snapshot.
  private func snapshot(
    of stream: StreamName, from kept: Snapshot?, _ empty: some SnapshottingFold,
    _ version: Version?
  ) async throws -> Snapshot? {
    try await fold(stream, from: kept, with: empty, upTo: ReplayBound(version: version))?
      .snapshot(takenAt: .now)
  }

  private func snapshot(of stream: StreamName, schema: Int?) async -> Snapshot? {
    guard let store, let schema else { return nil }
    do {
      let kept = try await store.snapshot(of: stream)
      return kept?.header.schema == schema ? kept : nil
    } catch {
      Self.note(error, of: stream)
      return nil
    }
  }

  private func discard(_ header: Snapshot.Header) async {
    Self.logger.warning(
      "a snapshot that does not fit the log was left aside",
      metadata: ["stream": "\(header.stream)", "version": "\(header.version)"])
    try? await store?.discard(header)
  }

  private func keepLater(_ folded: FoldedStream<some SnapshottingFold>) {
    guard let store, folded.fold.snapshotSchema != nil else { return }
    Task.detached(priority: .background) {
      guard let snapshot = folded.snapshot(takenAt: .now) else { return }
      do {
        _ = try await store.save(snapshot)
      } catch {
        Self.note(error, of: snapshot.header.stream)
      }
    }
  }

  private static func note(_ error: any Error, of stream: StreamName) {
    logger.warning(
      "snapshots cannot be used", metadata: ["stream": "\(stream)", "error": "\(error)"])
  }
}

// MARK: Folding

extension Snapshots {
  /// From what is kept, if it lies inside `bound` and fits; else from the first event.
  private func fold<Fold: SnapshottingFold>(
    _ stream: StreamName, from kept: Snapshot?, with empty: Fold, upTo bound: ReplayBound
  ) async throws -> FoldedStream<Fold>? {
    if let kept, bound.includes(kept.header) {
      if let folded = try await fold(from: kept, with: empty, upTo: bound) { return folded }
      await discard(kept.header)
    }
    return try await fold(fromStartOf: stream, with: empty, upTo: bound)
  }

  private func fold<Fold: SnapshottingFold>(
    fromStartOf stream: StreamName, with empty: Fold, upTo bound: ReplayBound
  ) async throws -> FoldedStream<Fold>? {
    let page = try await page(of: stream, from: Version(1))
    guard let first = page.first, bound.includes(first) else { return nil }
    var folded = FoldedStream(
      fold: empty, last: first, latestTimestamp: first.timestamp, eventsRead: 0)
    try await goOn(&folded, page: page[...], upTo: bound)
    return folded
  }

  /// Nil when the snapshot does not fit. Whether it was taken of this very log shows in the first
  /// event that is read, the one that it was taken at: that costs no further look.
  private func fold<Fold: SnapshottingFold>(
    from snapshot: Snapshot, with empty: Fold, upTo bound: ReplayBound
  ) async throws -> FoldedStream<Fold>? {
    var fold = empty
    do {
      try fold.restore(snapshot.state)
    } catch {
      return nil
    }
    let page = try await page(of: snapshot.header.stream, from: snapshot.header.version)
    guard let first = page.first, snapshot.header.isOf(first) else { return nil }
    var folded = FoldedStream(
      fold: fold, last: first, latestTimestamp: snapshot.header.latestTimestamp, eventsRead: 0)
    try await goOn(&folded, page: page.dropFirst(), upTo: bound)
    return folded
  }

  /// Folds a page, or what is left of it, and all that follow; a page that was not full is the
  /// stream's end.
  private func goOn<Fold: SnapshottingFold>(
    _ folded: inout FoldedStream<Fold>, page: ArraySlice<Recorded>, upTo bound: ReplayBound
  ) async throws {
    var page = page
    while true {
      for event in page {
        guard bound.includes(event) else { return }
        try folded.apply(event)
      }
      guard page.endIndex == Self.pageSize else { return }
      page = try await self.page(of: folded.last.stream, from: folded.version + 1)[...]
    }
  }

  private func page(of stream: StreamName, from version: Version) async throws -> [Recorded] {
    try await log.readStream(stream, from: version, limit: Self.pageSize)
  }
}
