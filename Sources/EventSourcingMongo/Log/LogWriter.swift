import EventSourcing
import Logging
import Mongo

/// The batching appender: takes what is queued, numbers and chains it, and sends it as one ordered
/// insert. One batch is in flight; the next one fills meanwhile.
///
/// Position order is commit order without a lease: `head + 1` is only written by one who saw the
/// log end at `head`, and the unique `_id` lets one of several racing processes have it. Ordered
/// inserts stop at the first error, so a batch never leaves a hole.
actor LogWriter {
  struct Submission: Sendable {
    var commit: ProposedCommit
    var ticket: AppendTicket
  }

  private enum Verdict {
    case take
    case refuse(AppendConflict)
    /// Behind another submission of the same batch: to be looked at again after it.
    case wait
  }

  /// How long an unknown outcome is looked into before the caller is told so.
  private static let settlingMax: Duration = .seconds(4)
  /// A tail longer than this is not read: the cache is dropped instead.
  private static let tailMax = 5000

  private let connection: MongoConnection
  private let onAppend: @Sendable (Position) -> Void
  private let logger: Logger
  private var head: LogHead?

  init(
    connection: MongoConnection, logger: Logger, onAppend: @escaping @Sendable (Position) -> Void
  ) {
    self.connection = connection
    self.logger = logger
    self.onAppend = onAppend
  }

  /// Works off a batch: every ticket is settled when it returns.
  func process(_ batch: [Submission]) async {
    var open = batch
    var deadline: ContinuousClock.Instant?
    var attempt = 0
    while !open.isEmpty {
      do {
        open = try await advance(open)
        deadline = nil
        attempt = 0
      } catch {
        open.removeAll { $0.ticket.settled != nil }
        head = nil
        attempt += 1
        guard deadline != nil || (error as? SendFailure)?.mayBeDone == true else {
          logger.warning("appends failed", metadata: ["error": "\(error)"])
          fail(open) { _ in .notDone("the database does not answer") }
          return
        }
        let limit = deadline ?? .now + Self.settlingMax
        deadline = limit
        guard .now < limit else {
          logger.error("the outcome of appends is unknown", metadata: ["error": "\(error)"])
          fail(open) { .unknown($0) }
          return
        }
        try? await Task.sleep(for: Backoff.standard.delay(attempt: attempt))
      }
    }
  }

  private struct SendFailure: Error {
    var mayBeDone: Bool
    var cause: any Error
  }

  private func fail(_ submissions: [Submission], _ failure: (CommandID) -> AppendFailure) {
    for submission in submissions {
      submission.ticket.settle(.failure(failure(submission.commit.context.commandID)))
    }
  }

  /// One round: check, number, send, settle what is clear. Answers what is still open.
  private func advance(_ submissions: [Submission]) async throws -> [Submission] {
    try await knowHead()
    try await learnHeads(for: submissions)
    guard let before = head?.end else { return submissions }
    var taken: [(submission: Submission, document: CommitDocument)] = []
    var waiting: [Submission] = []
    var refused: [(submission: Submission, conflict: AppendConflict)] = []
    var commands: Set<CommandID> = []
    var inBatch: Set<ObjectIdentifier> = []
    for submission in submissions {
      switch judge(submission, commands: commands, inBatch: inBatch) {
      case .take:
        guard let document = number(submission.commit) else {
          submission.ticket.settle(
            .failure(AppendFailure.invalid("a field name holds a NUL character")))
          continue
        }
        taken.append((submission, document))
        commands.insert(submission.commit.context.commandID)
        inBatch.insert(ObjectIdentifier(submission.ticket))
      case .wait: waiting.append(submission)
      case .refuse(let conflict):
        // What was taken may be the reason and may yet fail: only the log itself is a reason.
        if taken.isEmpty {
          refused.append((submission, conflict))
        } else {
          waiting.append(submission)
        }
      }
    }
    let rest = taken.isEmpty ? [] : try await send(taken, from: before)
    // Whatever took the version is held by a majority, so this very command is too if it was that.
    _ = try await answerThoseDone(refused.map(\.submission), linearizable: false)
    for (submission, conflict) in refused { submission.ticket.settle(.failure(conflict)) }
    return rest + waiting
  }

  private func judge(
    _ submission: Submission, commands: Set<CommandID>, inBatch: Set<ObjectIdentifier>
  ) -> Verdict {
    let commit = submission.commit
    if commands.contains(commit.context.commandID) { return .wait }
    for ticket in commit.builtOn where !inBatch.contains(ObjectIdentifier(ticket)) {
      guard let outcome = ticket.settled else { return .wait }
      guard outcome.isFirst else {
        return .refuse(
          AppendConflict(stream: commit.events[0].stream, expected: .any, actual: nil))
      }
    }
    for (stream, expected) in commit.expectations {
      // Unknown only for `noStream` of a written stream, which the unique index decides.
      guard let actual = head?.version(of: stream) else { continue }
      if !expected.accepts(actual) {
        return .refuse(AppendConflict(stream: stream, expected: expected, actual: actual))
      }
    }
    return .take
  }

  /// Gives a commit its positions, versions and hash; nil when it cannot be encoded.
  private func number(_ commit: ProposedCommit) -> CommitDocument? {
    guard let end = head?.end else { return nil }
    var versions: [StreamName: Version] = [:]
    for event in commit.events where versions[event.stream] == nil {
      versions[event.stream] = head?.version(of: event.stream) ?? Version.none
    }
    let recorded = RecordedCommit(commit, at: end.position + 1, versions: &versions)
    let document = CommitDocument(recorded, chainedTo: end.hash)
    guard document.document.isValid else { return nil }
    head?.apply(document)
    return document
  }

  /// Sends a batch and settles what the reply makes clear. Answers what has to be looked at again.
  private func send(
    _ batch: [(submission: Submission, document: CommitDocument)], from before: LogHead.End
  ) async throws -> [Submission] {
    let reply: WriteReply
    do {
      reply = try await connection.insertMany(
        batch.map(\.document.document), into: LogCollection.name)
    } catch let error as MongoError {
      throw SendFailure(mayBeDone: error.isOutcomeUnknown, cause: error)
    }
    if let failure = reply.failure {
      throw SendFailure(mayBeDone: failure.isOutcomeUnknown, cause: failure)
    }
    if let concern = reply.writeConcernError {
      throw SendFailure(mayBeDone: true, cause: concern)
    }
    guard let first = reply.writeErrors.first else {
      settle(batch[...])
      return []
    }
    // Everything before the first error is in, everything from it on is not.
    let refused = batch[first.index...]
    let end =
      first.index == 0
      ? before
      : LogHead.End(
        position: batch[first.index - 1].document.commit.header.lastPosition,
        hash: batch[first.index - 1].document.hash)
    head?.takeBack(refused.lazy.map(\.document), to: end)
    settle(batch[..<first.index])
    guard first.isDuplicateKey else {
      throw SendFailure(
        mayBeDone: MongoError.stateChangeCodes.contains(first.code),
        cause: MongoError(
          domain: .server, code: first.code, operation: "append", message: first.message))
    }
    // The commands were done before, or an earlier attempt of this very batch had got through.
    // After a restart most of a batch was: look for all of them at once.
    var rest = refused.map(\.submission)
    if first.keyPattern != ["_id"] {
      let count = rest.count
      rest = try await answerThoseDone(rest, linearizable: false)
      if rest.count < count { return rest }
      // The first one met a key that a majority does not have yet.
      if try await answerThoseDone([rest[0]], linearizable: true).isEmpty {
        return Array(rest.dropFirst())
      }
    }
    try await catchUp()
    return rest
  }

  private func settle(_ batch: ArraySlice<(submission: Submission, document: CommitDocument)>) {
    guard let last = batch.last else { return }
    for (submission, document) in batch {
      submission.ticket.settle(
        .success(Appended(commit: document.commit, isRepeated: false)))
    }
    onAppend(last.document.commit.header.lastPosition)
  }

  /// Settles the submissions whose command ids are in the log already; answers the others. What a
  /// majority has is durable. A linearizable read, which waits for a write to a majority and takes
  /// 100 ms on an idle server, also sees what it does not have yet.
  private func answerThoseDone(
    _ submissions: [Submission], linearizable: Bool
  ) async throws -> [Submission] {
    guard !submissions.isEmpty else { return [] }
    let found = try await connection.commits(
      of: submissions.map(\.commit.context.commandID), linearizable: linearizable)
    let done = Dictionary(
      found.map { ($0.header.context.commandID, $0) }, uniquingKeysWith: { first, _ in first })
    return submissions.filter { submission in
      guard let earlier = done[submission.commit.context.commandID] else { return true }
      answer(submission, with: earlier)
      return false
    }
  }

  private func answer(_ submission: Submission, with earlier: RecordedCommit) {
    let context = submission.commit.context
    if let old = earlier.header.context.fingerprint, let new = context.fingerprint, old != new {
      submission.ticket.settle(.failure(CommandIDReused(commandID: context.commandID)))
    } else {
      submission.ticket.settle(.success(Appended(commit: earlier, isRepeated: true)))
    }
  }

  private func knowHead() async throws {
    guard head == nil else { return }
    head = LogHead(after: try await connection.lastCommit())
  }

  /// Reads what other processes have written since.
  private func catchUp() async throws {
    guard let end = head?.end else { return }
    var tail = try await connection.outlines(
      after: end.position, limit: Self.tailMax, linearizable: false)
    if tail.isEmpty {
      tail = try await connection.outlines(
        after: end.position, limit: Self.tailMax, linearizable: true)
    }
    if tail.count == Self.tailMax {
      head = nil
      return
    }
    for outline in tail { try head?.apply(outline) }
  }

  /// Looks up the streams that a batch names and this process has not met.
  private func learnHeads(for submissions: [Submission]) async throws {
    var unknown: Set<StreamName> = []
    for submission in submissions {
      let commit = submission.commit
      for event in commit.events
      where commit.expectations[event.stream] != .noStream
        && head?.version(of: event.stream) == nil
      {
        unknown.insert(event.stream)
      }
      for (stream, expected) in commit.expectations where head?.version(of: stream) == nil {
        if expected == .noStream, commit.events.contains(where: { $0.stream == stream }) {
          continue
        }
        unknown.insert(stream)
      }
    }
    guard !unknown.isEmpty else { return }
    let streams = Array(unknown)
    let versions = try await connection.run { connection in
      try streams.map { try connection.version(of: $0) }
    }
    for (stream, version) in zip(streams, versions) { head?.learn(version, of: stream) }
  }
}
