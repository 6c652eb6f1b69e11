import EventSourcing

extension LogWriter {
  /// How long somebody waits for the outcome of what was sent, about.
  private static let answerMax: Duration = .seconds(8)

  /// Sees to it that nobody waits for an answer much longer than ``answerMax``, even when the
  /// database keeps silent: their outcome is unknown then.
  func watch(_ submissions: [Submission]) {
    watched = (submissions, .now)
    guard !isWatching else { return }
    isWatching = true
    Task {
      while let (submissions, since) = watched, inFlight != nil || isSettling {
        if ContinuousClock.now - since > Self.answerMax {
          for submission in submissions + behind {
            abandoned.insert(ObjectIdentifier(submission.ticket))
            submission.ticket.settle(
              .failure(AppendFailure.unknown(submission.commit.context.commandID)))
          }
          fail(takeWaiting()) { _ in .notDone("the database does not answer") }
        }
        try? await Task.sleep(for: .milliseconds(500))
      }
      isWatching = false
      watched = nil
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
