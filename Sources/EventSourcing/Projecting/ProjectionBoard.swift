import Synchronization

/// Where the projections of this process stand: for queries that wait for a position, for rows that
/// need no database, for readiness and for metrics.
///
/// What a projection driven here has published counts as long as its lease lasts. Then another
/// process may have gone on, and the store is asked.
public final class ProjectionBoard: Sendable {
  public struct Status: Sendable {
    public enum Activity: Sendable, Hashable {
      /// Driven in this process.
      case driving
      /// Another process drives it; this one waits for its end.
      case standby
      /// Not driven here at the moment, for a failure.
      case stopped
    }

    public var projection: String
    public var activity: Activity
    /// Nil before anything was driven here.
    public var progress: ProjectionProgress?
    /// Why it does not move, if it does not.
    public var failure: String?
    /// When it last reported, whether or not there was an event.
    public var reported: ContinuousClock.Instant
    /// Until when ``progress`` is the truth.
    var validUntil: ContinuousClock.Instant
  }

  private struct Waiter {
    var position: Position
    var continuation: CheckedContinuation<Void, Never>
  }

  private struct Entry {
    var status: Status
    var rows: RecencyCache<String, StoredRow>
    var waiting: [Int: Waiter] = [:]

    init(_ projection: String, rowsMax: Int) {
      status = Status(
        projection: projection, activity: .stopped, reported: .now, validUntil: .now)
      rows = RecencyCache(capacity: rowsMax / 2)
    }

    var current: ProjectionProgress? {
      status.activity == .driving && .now < status.validUntil ? status.progress : nil
    }

    mutating func takeWaiters(upTo position: Position?) -> [CheckedContinuation<Void, Never>] {
      if waiting.isEmpty { return [] }
      let ready = waiting.filter { waiter in position.map { waiter.value.position <= $0 } ?? true }
      for id in ready.keys { waiting[id] = nil }
      return ready.values.map(\.continuation)
    }
  }

  private struct State {
    var entries: [String: Entry] = [:]
    var nextWaiter = 0
  }

  private let state = Mutex(State())
  private let rowsMax: Int

  /// - Parameter rowsMax: rows that are kept in memory, of each projection.
  public init(rowsMax: Int = 8192) { self.rowsMax = rowsMax }

  /// Whether somebody waits until a projection has come somewhere.
  func isAwaited(_ projection: String) -> Bool {
    state.withLock { $0.entries[projection].map { !$0.waiting.isEmpty } ?? false }
  }

  /// Whether a projection is driven in this process.
  public func isDriving(_ projection: String) -> Bool {
    state.withLock { $0.entries[projection]?.status.activity == .driving }
  }

  /// A projection driven here has come to `progress`; `changed` are the rows that differ from those
  /// of its last publication. Valid as long as its lease.
  public func publish(
    _ progress: ProjectionProgress, changed: [StoredRow], until: ContinuousClock.Instant
  ) {
    let reached = withEntry(progress.projection) { entry in
      if entry.status.progress?.generation != progress.generation {
        entry.rows = RecencyCache(capacity: rowsMax / 2)
      }
      for row in changed { entry.rows[row.id] = row }
      entry.status.activity = .driving
      entry.status.progress = progress
      entry.status.failure = progress.failure
      entry.status.reported = .now
      entry.status.validUntil = until
      return entry.takeWaiters(upTo: progress.position)
    }
    for continuation in reached { continuation.resume() }
  }

  public func report(_ projection: String, failure: String) {
    withEntry(projection) { entry in
      entry.status.failure = failure
      entry.status.reported = .now
    }
  }

  /// Another process drives it.
  public func standBy(_ projection: String) {
    withEntry(projection) { entry in
      entry.status.activity = .standby
      entry.status.failure = nil
      entry.status.reported = .now
    }
  }

  /// What was published counts no more.
  func stopDriving(_ projection: String) {
    let waiting = withEntry(projection) { entry in
      entry.status.activity = .stopped
      entry.rows = RecencyCache(capacity: rowsMax / 2)
      return entry.takeWaiters(upTo: nil)
    }
    for continuation in waiting { continuation.resume() }
  }

  /// This process has no part in the projection any more.
  public func remove(_ projection: String) {
    let waiting = state.withLock { state in
      var entry = state.entries.removeValue(forKey: projection)
      return entry?.takeWaiters(upTo: nil) ?? []
    }
    for continuation in waiting { continuation.resume() }
  }

  public func status(of projection: String) -> Status? {
    state.withLock { $0.entries[projection]?.status }
  }

  public var statuses: [Status] {
    state.withLock { state in
      state.entries.values.map(\.status).sorted { $0.projection < $1.projection }
    }
  }

  /// Where a projection stands that is driven here; nil when only the store can tell.
  public func progress(of projection: String) -> ProjectionProgress? {
    state.withLock { $0.entries[projection]?.current }
  }

  /// A row with the progress that it is part of, when both are known without the store.
  func row(_ id: String, of projection: String) -> (row: StoredRow, progress: ProjectionProgress)? {
    state.withLock { state in
      guard let progress = state.entries[projection]?.current,
        let row = state.entries[projection]?.rows[id]
      else { return nil }
      return (row, progress)
    }
  }

  /// Keeps a row that was read from the store while the projection stood at `progress`, unless it
  /// has moved since: the row might have changed.
  func keep(_ row: StoredRow, of progress: ProjectionProgress) {
    state.withLock { state in
      guard state.entries[progress.projection]?.current == progress else { return }
      state.entries[progress.projection]?.rows[row.id] = row
    }
  }

  /// Returns when the projection has reached `position` in this process, or is not driven here any
  /// more, or after `timeout`.
  public func wait(for projection: String, position: Position, timeout: Duration) async {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    // The timer starts when the waiter is in its place: fired earlier, it would release nobody.
    let timer = Mutex<Task<Void, any Error>?>(nil)
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let mustWait = state.withLock { state in
          guard let current = state.entries[projection]?.current, current.position < position
          else { return false }
          state.entries[projection]?.waiting[id] = Waiter(
            position: position, continuation: continuation)
          return true
        }
        guard mustWait else { return continuation.resume() }
        timer.withLock {
          $0 = Task {
            try await Task.sleep(for: timeout)
            self.release(projection, id)
          }
        }
        // Cancelled in between: the handler below found nobody.
        if Task.isCancelled { release(projection, id) }
      }
    } onCancel: {
      release(projection, id)
    }
    timer.withLock { $0?.cancel() }
  }

  private func release(_ projection: String, _ id: Int) {
    let waiter = state.withLock { $0.entries[projection]?.waiting.removeValue(forKey: id) }
    waiter?.continuation.resume()
  }

  @discardableResult
  private func withEntry<Result: Sendable>(
    _ projection: String, _ body: (inout Entry) -> Result
  ) -> Result {
    state.withLock { state in
      body(&state.entries[projection, default: Entry(projection, rowsMax: rowsMax)])
    }
  }
}
