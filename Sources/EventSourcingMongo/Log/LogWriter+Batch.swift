import EventSourcing
import Mongo

extension LogWriter {
  /// Numbered commits that go together.
  struct Batch {
    /// Commits of one insert, at most.
    static let commitsMax = 1000
    /// Events of one insert, at most.
    private static let eventsMax = 4000
    /// Bytes of one insert, about at most: well below MongoDB's limit of 48 MB a message.
    private static let bytesMax = 16 << 20

    /// Where the log ends before them.
    var before: LogHead.End
    var commits: [(submission: Submission, document: CommitDocument)] = []
    var commands = Set<CommandID>(minimumCapacity: 256)
    /// What cannot be appended if these commits get through, see ``Rider``.
    var riders: [Rider] = []
    var events = 0
    var bytes = 0

    var submissions: [Submission] { commits.map(\.submission) + riders.map(\.submission) }

    var isFull: Bool {
      commits.count >= Self.commitsMax || events >= Self.eventsMax || bytes >= Self.bytesMax
    }

    mutating func append(_ submission: Submission, _ document: CommitDocument) {
      commits.append((submission, document))
      commands.insert(submission.commit.context.commandID)
      events += submission.commit.events.count
      bytes += document.document.bytes.count
    }
  }

  /// An append that is not taken on account of commits that are not durable yet: it waits for
  /// their outcome and is answered then.
  struct Rider {
    var submission: Submission
    /// Nil for the repetition of a command that is among those commits.
    var conflict: AppendConflict?
  }

  /// An insert that did not get through.
  struct SendFailure: Error {
    /// The commands that may have been done all the same.
    var doubted: Set<CommandID>
    var cause: any Error

    init(doubted: Set<CommandID>, cause: any Error) {
      self.doubted = doubted
      self.cause = cause
    }

    /// The server's own errors count as doubt, all of them: the driver sends a write a second time
    /// by itself, and then only the second error is seen.
    init(_ error: MongoError, of batch: Batch) {
      let isDoubtful = error.domain == .server || error.isOutcomeUnknown
      self.init(doubted: isDoubtful ? batch.commands : [], cause: error)
    }
  }
}
