import EventSourcing

extension LogWriter {
  /// How long somebody waits for the outcome of what was sent, about.
  private static let answerMax: Duration = .seconds(8)

  /// Appends whose callers are waiting.
  struct Watch {
    private let since = ContinuousClock.now
    var submissions: [Submission]

    init(_ submissions: [Submission]) { self.submissions = submissions }

    var isOverdue: Bool { .now - since > answerMax }
  }

  /// Sees to it that nobody waits for the outcome of what is sent, or looked into step by step,
  /// much longer than ``answerMax``, even when the database keeps silent: it is unknown then. What
  /// stands in the queue behind it is not done.
  func watch(_ submissions: [Submission]) {
    watched = Watch(submissions)
    startWatching()
  }

  /// Has more watched, from when the watch began.
  func watchAlso(_ submissions: [Submission]) { watched?.submissions += submissions }

  /// The same for riders that are looked up beside all that; until ``endLookUp(_:)``.
  func watchLookUp(of riders: [Rider]) -> Int {
    lookUpCount += 1
    lookUps[lookUpCount] = Watch(riders.map(\.submission))
    startWatching()
    return lookUpCount
  }

  func endLookUp(_ number: Int) { lookUps[number] = nil }

  private func startWatching() {
    guard !isWatching else { return }
    isWatching = true
    Task {
      while isBusy || !lookUps.isEmpty {
        abandonOverdue()
        try? await Task.sleep(for: .milliseconds(500))
      }
      isWatching = false
      watched = nil
    }
  }

  private var isBusy: Bool {
    inFlight != nil || isSettling || isLearning || yielding != nil
  }

  private func abandonOverdue() {
    let refused = lookUps.values.filter(\.isOverdue).flatMap(\.submissions)
    abandon(refused)
    guard isBusy, let watched, watched.isOverdue else { return }
    let sent = watched.submissions + behind
    abandon(sent)
    // Never sent; but the repetition of a command whose outcome is unknown may find it done.
    let unknown = Set((refused + sent).lazy.map(\.commit.context.commandID))
    fail(takeWaiting()) { unknown.contains($0) ? .unknown($0) : .databaseSilent }
  }

  private func abandon(_ submissions: [Submission]) {
    for submission in submissions where submission.ticket.settled == nil {
      abandoned.insert(ObjectIdentifier(submission.ticket))
      submission.ticket.settle(
        .failure(AppendFailure.unknown(submission.commit.context.commandID)))
    }
  }

  /// What waits for the outcome of what is in flight.
  private var behind: [Submission] {
    (inFlight?.riders ?? []).map(\.submission) + (next?.submissions ?? [])
  }

  /// Whether nobody waits for it any more, though its outcome is not known.
  func isAbandoned(_ submission: Submission) -> Bool {
    abandoned.contains(ObjectIdentifier(submission.ticket))
  }

  /// Gives free the places of submissions that are through.
  func release(_ submissions: some Sequence<Submission>) {
    queue.release(submissions)
    if abandoned.isEmpty { return }
    for submission in submissions { abandoned.remove(ObjectIdentifier(submission.ticket)) }
  }
}
