import EventSourcing
import Foundation
import Mongo

/// Walks the stored log and checks what it promises: the shape of every commit, positions and
/// versions without a hole, no command id twice, the hash chain. It writes nothing to the log and
/// trusts no index but that of `_id`, whose order it checks.
///
/// Several connections check ranges of positions at once. What needs the whole log is left in a
/// ``TraceStore`` and checked at the end, so that memory does not grow with the log.
public struct LogVerifier: Sendable {
  public struct Report: Sendable {
    public var commits: Int64
    public var events: Int64
    /// The hash of the last commit, in hexadecimal: keep it elsewhere to detect a cut tail.
    public var head: String
    /// What is wrong at the first position where something is; empty when the log is clean.
    public var faults: [LogFault]

    /// The same as one, or nil.
    public var corruption: LogCorruption? {
      guard let first = faults.first else { return nil }
      return LogCorruption(
        position: first.position, reason: faults.map(\.reason).joined(separator: "; "))
    }
  }

  /// How far a verification is.
  public struct Progress: Sendable {
    /// Everything up to here was checked, by this run or the one that it goes on from.
    public var position: Position
    public var head: Position
    /// Events checked by this run.
    public var events: Int64
  }

  private let database: MongoDatabase
  private let connections: Int
  private let rangeLength: Int
  private let tracesHeldMax: Int
  private let stateInterval: Duration

  /// - Parameters:
  ///   - connections: how many read and check at once; nil: one for each processor.
  ///   - rangeLength: positions that are checked in one go.
  public init(_ database: MongoDatabase, connections: Int? = nil, rangeLength: Int = 20_000) {
    self.init(
      database, connections: connections, rangeLength: rangeLength,
      tracesHeldMax: TraceStore.heldMax, stateInterval: .seconds(3))
  }

  init(
    _ database: MongoDatabase, connections: Int?, rangeLength: Int, tracesHeldMax: Int,
    stateInterval: Duration
  ) {
    self.database = database
    self.connections = max(1, connections ?? ProcessInfo.processInfo.activeProcessorCount)
    self.rangeLength = max(1, rangeLength)
    self.tracesHeldMax = tracesHeldMax
    self.stateInterval = stateInterval
  }

  /// Checks everything up to where the log ends now.
  ///
  /// - Parameters:
  ///   - head: where the log ended once; the log must hold exactly that beginning.
  ///   - state: a file to keep the progress in, and to go on from when it is there. It is gone when
  ///     the verification is over. What was checked before is taken to be unchanged since, except
  ///     for the last commit, which is compared.
  /// - Throws: `MongoError`, or ``LogFileError``. Faults are reported, not thrown.
  public func verify(
    against head: ExportedHead? = nil, keepingStateIn state: String? = nil,
    progress: (Progress) -> Void = { _ in }
  ) async throws -> Report {
    let workers = (0..<connections).map {
      database.dedicatedConnection(name: "verify-\($0)")
    }
    let reader = workers[0]
    let bounds = try await reader.run { try $0.bounds() }
    var run = try Run(
      bounds: bounds, state: state.map { try VerifierState(at: $0) }, tracesHeldMax: tracesHeldMax)
    if let last = run.last, try await reader.run({ try $0.anchor(at: last.position) }) != last {
      throw LogFileError(
        """
        the commit that ends at position \(last.position) is not the one that was checked: the \
        state is of another log, or the log was written anew. Verify without the state.
        """)
    }
    try await check(&run, with: workers, progress: progress)
    var faults = bounds.strays + [run.fault].compactMap(\.self)
    for found in try await run.traces.firstBreaks(workers: connections) {
      faults.append(try await reader.run { try $0.fault(of: found) })
    }
    if let head, let fault = try await reader.run({ try $0.check(head, logEnd: bounds.end) }) {
      faults.append(fault)
    }
    run.state?.remove()
    let first = faults.map(\.position).min()
    return Report(
      commits: run.commits, events: run.checkedTo.rawValue,
      head: (run.last?.hash ?? .none).hexadecimal,
      faults: faults.filter { $0.position == first }.sorted { $0.kind < $1.kind })
  }

  /// Checks range after range until the end or the first fault. Ranges are taken up in order and
  /// their results are merged in order, so nothing before the first fault is left out.
  private func check(
    _ run: inout Run, with workers: [MongoConnection], progress: (Progress) -> Void
  ) async throws {
    var ahead: [Task<RangeCheck.Result, any Error>] = []
    defer { for task in ahead { task.cancel() } }
    var turn = 0
    var next = run.checkedTo
    let start = next
    var stateIsDue = ContinuousClock.now + stateInterval
    while run.fault == nil {
      try Task.checkCancellation()
      while ahead.count < 2 * workers.count, next < run.bounds.end {
        let range = RangeCheck(start: next, end: min(next + rangeLength, run.bounds.end))
        ahead.append(Self.start(range, on: workers[turn % workers.count]))
        turn += 1
        next = range.end
      }
      guard !ahead.isEmpty else { break }
      try run.merge(
        try await ahead.removeFirst().value,
        upTo: min(run.checkedTo + rangeLength, run.bounds.end))
      progress(
        Progress(
          position: run.checkedTo, head: run.bounds.end,
          events: run.checkedTo.rawValue - start.rawValue))
      if ContinuousClock.now >= stateIsDue {
        try run.writeState()
        stateIsDue = .now + stateInterval
      }
    }
  }

  private static func start(
    _ range: RangeCheck, on worker: MongoConnection
  ) -> Task<RangeCheck.Result, any Error> {
    Task {
      for _ in 0..<4 {
        try Task.checkCancellation()
        do {
          return try await worker.run { try range.run(on: $0) }
        } catch let error as MongoError where error.isTransient {
          try await Task.sleep(for: .seconds(1))
        }
      }
      return try await worker.run { try range.run(on: $0) }
    }
  }
}

extension LogVerifier {
  /// Where the log begins and ends.
  struct Bounds: Sendable {
    /// The position of the last event.
    var end: Position
    /// Documents in the collection whose `_id` is no number: no range of positions holds them.
    var strays: [LogFault] = []
  }

  /// What one verification knows so far.
  private struct Run {
    let bounds: Bounds
    var traces: TraceStore
    var state: VerifierState?
    var commits: Int64 = 0
    /// Every commit that begins up to here was checked.
    var checkedTo = Position.start
    var last: RangeCheck.Anchor?
    var fault: LogFault?

    init(bounds: Bounds, state: VerifierState?, tracesHeldMax: Int) throws {
      self.bounds = bounds
      self.state = state
      guard let state else {
        traces = TraceStore(heldMax: tracesHeldMax)
        return
      }
      traces = try TraceStore(
        file: state.file, length: state.checked?.traceBytes ?? 0, heldMax: tracesHeldMax)
      if let checked = state.checked {
        commits = checked.commits
        checkedTo = checked.end
        last = checked.last
      }
    }

    mutating func merge(_ result: RangeCheck.Result, upTo end: Position) throws {
      try traces.add(result.traces)
      commits += result.commits
      last = result.last ?? last
      fault = result.fault
      checkedTo = fault.map { Position($0.position.rawValue - 1) } ?? end
    }

    mutating func writeState() throws {
      guard state != nil, fault == nil, let last else { return }
      try traces.flush(isDurable: true)
      try state?.write(
        VerifierState.Checked(
          end: checkedTo, commits: commits, last: last, traceBytes: traces.length))
    }
  }
}

extension MongoConnection {
  func bounds() throws -> LogVerifier.Bounds {
    guard let first = try outermostDocument(isLast: false),
      let last = try outermostDocument(isLast: true)
    else { return LogVerifier.Bounds(end: .start) }
    var bounds = LogVerifier.Bounds(end: .start)
    let largest = Position(.max)
    if let commit = try storedCommit(atOrBefore: largest) { bounds.end = commit.endOfCommit }
    for (document, position) in [(first, Position.start + 1), (last, bounds.end + 1)]
    where document.withView({ $0["_id"]?.integer }) == nil {
      bounds.strays.append(
        LogFault(.shape, at: position, "there is a document whose _id is no position"))
    }
    return bounds
  }

  /// Where the log ends.
  /// - Throws: ``LogFault`` when something stands in it that has no position.
  func soundEnd() throws -> Position {
    let bounds = try bounds()
    if let stray = bounds.strays.first { throw stray }
    return bounds.end
  }

  /// The commit that ends at a position, or nil.
  func anchor(at position: Position) throws -> RangeCheck.Anchor? {
    guard let document = try storedCommit(atOrBefore: position) else { return nil }
    var ignored: [Trace] = []
    return document.withView { view in
      guard let commit = try? StoredCommit(view, traces: &ignored), commit.next == position + 1
      else { return nil }
      return RangeCheck.Anchor(position: position, hash: ChainHash(commit.hash))
    }
  }

  /// Compares the log with where it ended once.
  func check(_ head: ExportedHead, logEnd: Position) throws -> LogFault? {
    guard head.position <= logEnd else {
      return LogFault(
        .head, at: logEnd + 1,
        "the tail is cut off: the exported head is at position \(head.position)")
    }
    guard head.position > .start else { return nil }
    guard try anchor(at: head.position)?.hash.hexadecimal == head.hash else {
      return LogFault(
        .head, at: head.position,
        "this is not the exported head: the log was written anew up to here")
    }
    return nil
  }

  /// Puts a broken rule in words; names the stream, of which the trace has only the key.
  func fault(of found: Trace.Break) throws -> LogFault {
    let document = try storedCommit(atOrBefore: found.position)
    let commit = document?.withView { try? CommitDocument.decode($0) }
    if found.isCommand {
      let id = commit.map { " \($0.header.context.commandID)" } ?? ""
      return LogFault(
        .command, at: found.position,
        "command id\(id) appears a second time; the first is at position \(found.expected)")
    }
    guard let event = commit?.events.first(where: { $0.position == found.position }) else {
      return LogFault(.version, at: found.position, "version \(found.expected) belongs here")
    }
    return LogFault(
      .version, at: found.position,
      "stream \(event.stream) has version \(event.version) where \(found.expected) belongs")
  }
}

extension BSONDocument {
  /// The position of the last event of the last commit; its own position when it cannot be read.
  fileprivate var endOfCommit: Position {
    var ignored: [Trace] = []
    return withView { view in
      if let commit = try? StoredCommit(view, traces: &ignored) {
        return Position(commit.next.rawValue - 1)
      }
      return Position(min(max(1, view["_id"]?.integer ?? 1), Position.max.rawValue))
    }
  }
}
