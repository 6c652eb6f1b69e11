import EventSourcing
import Mongo

/// What the writer does when something unusual has happened: one step after the other, with
/// nothing else in flight, until every submission it was given has its outcome.
extension LogWriter {
  /// How long an unknown outcome is looked into before the caller is told so.
  private static let settlingMax: Duration = .seconds(4)
  /// A tail of about as many events is read; a longer one costs more than it is worth.
  private static let tailMax = 500
  /// Events and expectations that are looked at in one round, about at most.
  private static let roundMax = 1000

  /// Every ticket is settled when it returns. `failure` is what an earlier attempt met.
  func workOff(_ submissions: [Submission], after failure: (any Error)? = nil) async {
    var open = submissions
    var failure = failure
    doubted = []
    mayDoubtedAppear = false
    var deadline: ContinuousClock.Instant?
    var attempt = 0
    while true {
      if let error = failure {
        open.removeAll { $0.ticket.settled != nil && !isAbandoned($0) }
        head = nil
        attempt += 1
        if let failure = error as? SendFailure, !failure.doubted.isEmpty {
          doubted.formUnion(failure.doubted)
          mayDoubtedAppear = true
        }
        let limit = deadline ?? (doubted.isEmpty ? .now : .now + Self.settlingMax)
        deadline = limit
        guard .now < limit else {
          logger.error(
            "appends failed",
            metadata: ["error": "\(error)", "of unknown outcome": "\(doubted.count)"])
          // What waits behind them was never sent, and would only wait for the same.
          fail(open + takeWaiting()) { doubted.contains($0) ? .unknown($0) : .databaseSilent }
          return
        }
        try? await Task.sleep(for: Backoff.standard.delay(attempt: attempt))
      }
      guard !open.isEmpty else { return }
      do {
        open = try await advance(open)
        failure = nil
        deadline = nil
        attempt = 0
      } catch {
        failure = error
      }
    }
  }

  func finish(_ submission: Submission, _ outcome: AppendTicket.Outcome) {
    if case .failure(is AppendConflict) = outcome {
      queue.conflicts.add(1, ordering: .relaxed)
    }
    submission.ticket.settle(outcome)
    release(CollectionOfOne(submission))
  }

  func fail(_ submissions: some Sequence<Submission>, _ failure: (CommandID) -> AppendFailure) {
    for submission in submissions {
      finish(submission, .failure(failure(submission.commit.context.commandID)))
    }
  }

  /// One round: check, number, send, settle what is clear. Answers what is still open.
  private func advance(_ submissions: [Submission]) async throws -> [Submission] {
    let round = Self.round(submissions)
    let later = submissions[round.endIndex...]
    try await knowHead()
    try await learnHeads(for: round)
    guard let end = head?.end else { return submissions }
    series += 1
    var batch = Batch(before: end)
    var waiting: [Submission] = []
    var refused: [Rider] = []
    for submission in round {
      let isRepeated = batch.commands.contains(submission.commit.context.commandID)
      if isRepeated || batch.isFull {
        waiting.append(submission)
        continue
      }
      switch head?.take(submission.commit, series: series) {
      case .taken(let document):
        submission.ticket.number(inSeries: series)
        batch.append(submission, document)
      case .invalid(let failure): finish(submission, .failure(failure))
      case .wait, .lookUp, nil: waiting.append(submission)
      case .refuse(let conflict):
        // What was taken may be the reason and may yet fail: only the log itself is a reason.
        if batch.commits.isEmpty {
          refused.append(Rider(submission: submission, conflict: conflict))
        } else {
          waiting.append(submission)
        }
      }
    }
    if waiting.count == round.count {
      // What they wait for stands behind them, or is being looked up on this thread and put back.
      let putBack = takeBacklog()
      watchAlso(putBack)
      try? await Task.sleep(for: .milliseconds(1))
      return putBack + later + waiting
    }
    let rest = batch.commits.isEmpty ? [] : try await send(batch)
    let again = await settle(refused)
    return rest + again + waiting + later
  }

  /// Answers appends that are refused on account of durable commits, or were done by them. Answers
  /// what has to be judged again.
  func settle(_ riders: [Rider]) async -> [Submission] {
    guard !riders.isEmpty else { return [] }
    var open = riders.map(\.submission)
    let conflicts = Dictionary(
      riders.compactMap { rider in
        rider.conflict.map { (ObjectIdentifier(rider.submission.ticket), $0) }
      }, uniquingKeysWith: { first, _ in first })
    do {
      // What took the version is held by a majority, so this very command is too if it was that.
      open = try await answerThoseDone(open, linearizable: false)
      // An expectation of more than is known may be right: another process has written since.
      try await learnHeads(of: Set(conflicts.values.filter(\.mayBeOutdated).map(\.stream)))
      return open.filter { submission in
        guard let conflict = conflicts[ObjectIdentifier(submission.ticket)],
          !isOutdated(conflict)
        else { return true }
        let mayLand = conflict.actual == nil && mayStillLand(submission.commit)
        finish(
          submission,
          .failure(mayLand ? AppendFailure.unknown(submission.commit.context.commandID) : conflict))
        return false
      }
    } catch {
      logger.warning("appends failed", metadata: ["error": "\(error)"])
      fail(open) { .unknown($0) }
      return []
    }
  }

  /// Whether what is refused with the append that it was built on may have been sent, and appear
  /// yet. Behind one whose version somebody else has it cannot.
  private func mayStillLand(_ commit: ProposedCommit) -> Bool {
    mayDoubtedAppear && doubted.contains(commit.context.commandID)
      && !commit.builtOn.contains { base in
        if case .failure(is AppendConflict) = base.settled { true } else { false }
      }
  }

  private func isOutdated(_ conflict: AppendConflict) -> Bool {
    guard conflict.mayBeOutdated, let actual = conflict.actual else { return false }
    return head?.knows(actual + 1, of: conflict.stream) ?? true
  }

  /// As many of the first ones as one round looks at: at least one.
  static func round<C: RandomAccessCollection<Submission>>(_ submissions: C) -> C.SubSequence {
    var weight = 0
    var count = 0
    for submission in submissions {
      weight += submission.commit.events.count + submission.commit.expectations.count
      if count > 0, weight > roundMax { break }
      count += 1
    }
    return submissions.prefix(count)
  }

  private func send(_ batch: Batch) async throws -> [Submission] {
    let reply: WriteReply
    do {
      reply = try await insert(batch)
    } catch let error as MongoError {
      throw SendFailure(error, of: batch)
    }
    return try await conclude(reply, of: batch)
  }

  /// Settles what the reply makes clear. Answers what has to be looked at again.
  func conclude(
    _ result: Result<WriteReply, any Error>, of batch: Batch
  ) async throws -> [Submission] {
    do {
      return try await conclude(try result.get(), of: batch)
    } catch let error as MongoError {
      throw SendFailure(error, of: batch)
    }
  }

  private func conclude(_ reply: WriteReply, of batch: Batch) async throws -> [Submission] {
    if let failure = reply.failure { throw SendFailure(failure, of: batch) }
    if let concern = reply.writeConcernError {
      throw SendFailure(doubted: batch.commands, cause: concern)
    }
    guard let first = reply.writeErrors.first else {
      noteWin()
      settle(batch.commits[...])
      return []
    }
    if first.index > 0 { noteWin() }
    // Everything before the first error is in, everything from it on is not.
    let refused = batch.commits[first.index...]
    let end =
      first.index == 0
      ? batch.before
      : LogHead.End(
        position: batch.commits[first.index - 1].document.commit.header.lastPosition,
        hash: batch.commits[first.index - 1].document.hash)
    head?.takeBack(refused.lazy.map(\.document), to: end)
    settle(batch.commits[..<first.index])
    guard first.isDuplicateKey else {
      throw SendFailure(
        doubted: MongoError.stateChangeCodes.contains(first.code) ? batch.commands : [],
        cause: MongoError(
          domain: .server, code: first.code, operation: "append", message: first.message))
    }
    do {
      return try await lookInto(refused, duplicateOf: first.keyPattern)
    } catch {
      // A key that is taken may be their own: as long as nobody can look, they may be done.
      throw SendFailure(
        doubted: Set(refused.lazy.map(\.submission.commit.context.commandID)), cause: error)
    }
  }

  /// The log has grown by this process: nothing that it sent before can appear any more, since its
  /// place is taken. (What has appeared may not have been seen.)
  func noteWin() {
    turns.noteWin()
    mayDoubtedAppear = false
  }

  /// What a duplicate key stopped: the commands were done before, an earlier attempt of this very
  /// batch had got through, another process was first, or had been while this one did not look.
  /// Answers what has to be tried again.
  private func lookInto(
    _ refused: ArraySlice<(submission: Submission, document: CommitDocument)>,
    duplicateOf keyPattern: [String]
  ) async throws -> [Submission] {
    guard keyPattern != ["_id"] else {
      try await catchUp()
      try await waitForTurn()
      return refused.map(\.submission)
    }
    // After a restart most of a batch was done: look for all of them at once.
    let rest = try await answerThoseDone(refused.map(\.submission), linearizable: false)
    guard let first = refused.first?.document.commit, rest.count == refused.count else {
      return rest
    }
    // Streams that were taken for new and are not, or that grew behind a jump.
    if keyPattern != ["command_id"] {
      var streams = Set(first.events.map(\.stream))
      for submission in Self.round(rest) {
        for event in submission.commit.events
        where submission.commit.expectations[event.stream] != .noStream {
          streams.insert(event.stream)
        }
      }
      try await learnHeads(of: streams)
      if first.events.contains(where: { head?.knows($0.version, of: $0.stream) == true }) {
        return rest
      }
    }
    // Or the first one met a key of its own, which a majority does not have yet.
    let open = try await answerThoseDone([rest[0]], linearizable: true)
    if !open.isEmpty { try await catchUp() }
    return open + rest.dropFirst()
  }

  /// Settles the submissions whose command ids are in the log already; answers the others. What a
  /// majority has is durable. A linearizable read, which waits for a write to a majority and takes
  /// 100 ms on an idle server, also sees what it does not have yet.
  private func answerThoseDone(
    _ submissions: [Submission], linearizable: Bool
  ) async throws -> [Submission] {
    guard !submissions.isEmpty else { return [] }
    let found = try await lookups.commits(
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
      finish(submission, .failure(CommandIDReused(commandID: context.commandID)))
    } else {
      finish(submission, .success(Appended(commit: earlier, isRepeated: true)))
    }
  }

  private func knowHead() async throws {
    guard head == nil else { return }
    head = LogHead(after: try await lookups.lastCommit())
  }

  /// Takes note of what other processes have written since.
  private func catchUp() async throws {
    guard let end = head?.end else { return }
    // Who was first is held by a majority in a moment: cheaper to look again than to ask for a
    // linearizable read, which waits for a write.
    for delay in [0, 1, 2, 2, 4, 4, 8, 8, 16, 16] {
      if delay > 0 { try await Task.sleep(for: .milliseconds(delay)) }
      if let last = try await lookups.lastCommit(), last.last > end.position {
        return try await follow(to: last)
      }
    }
    if let last = try await lookups.lastCommit(linearizable: true) { try await follow(to: last) }
  }

  /// Takes note of the commits of other processes up to the last one of the log.
  func follow(to last: CommitOutline) async throws {
    guard let end = head?.end, last.last > end.position else { return }
    if last.last.rawValue - end.position.rawValue > Self.tailMax {
      head?.jump(behind: last)
    } else {
      let tail = try await lookups.outlines(after: end.position, limit: Self.tailMax)
      for outline in tail { try head?.apply(outline) }
    }
  }

  /// Looks up the streams that the submissions name and this process has not met.
  func learnHeads(for submissions: some Sequence<Submission>) async throws {
    var unknown: Set<StreamName> = []
    for submission in submissions { head?.collectUnknown(submission.commit, into: &unknown) }
    try await learnHeads(of: unknown)
  }

  private func learnHeads(of streams: Set<StreamName>) async throws {
    if streams.isEmpty { return }
    let streams = Array(streams)
    let versions = try await lookups.run { connection in
      try streams.map { try connection.version(of: $0) }
    }
    for (stream, version) in zip(streams, versions) { head?.learn(version, of: stream) }
  }
}

extension AppendFailure {
  static var databaseSilent: AppendFailure { .notDone("the database does not answer") }
}

extension AppendConflict {
  /// Whether a version that was written since could be what was expected: versions only grow.
  fileprivate var mayBeOutdated: Bool {
    guard let actual else { return false }
    return switch expected {
    case .exactly(let version): version > actual
    case .streamExists: actual == .none
    case .any, .noStream: false
    }
  }
}
