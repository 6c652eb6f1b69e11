import EventSourcing
import Logging
import Mongo
import ServiceLifecycle

/// Rings the log's doorbell when any process has appended: a change stream that carries no data
/// while the log is at rest, a look at its end every few milliseconds while it grows, since the
/// server prepares each change that a stream delivers.
///
/// One question for all readers of a process: as long as it is answered they need not ask whether
/// they are at the end (``Doorbell/watch(for:)``). When it is not, each looks once a second by itself.
public struct ChangeStreamDoorbell: Service {
  private let log: MongoLog
  private let connection: MongoConnection
  private let logger: Logger

  public init(_ log: MongoLog, logger: Logger) {
    self.log = log
    self.connection = log.database.dedicatedConnection(name: "doorbell")
    self.logger = logger
  }

  private static let interval: Duration = .milliseconds(10)
  /// While this process appends: its appender meets what others append.
  private static let intervalAppending: Duration = .milliseconds(40)
  /// So long without an append, and the log is at rest.
  private static let rest: Duration = .milliseconds(500)

  /// How long one question waits for an answer, in milliseconds.
  private static let questionMilliseconds: Int64 = 500
  /// Questions without an answer after which the end of the log is looked at all the same.
  private static let questionsMax = 20
  /// For so long an answer holds.
  private static let watch: Duration = .seconds(2)

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var attempt = 0
      while !Task.isCancelled {
        do {
          try await waitForChange()
          try await followUntilRest()
          attempt = 0
        } catch {
          attempt += 1
          log.doorbell.watch(for: nil)
          logger.debug("the doorbell is broken, polling", metadata: ["error": "\(error)"])
          try? await Task.sleep(for: Backoff.standard.delay(attempt: attempt))
        }
      }
      log.doorbell.watch(for: nil)
    }
  }

  /// Returns when the log has grown, or may have.
  private func waitForChange() async throws {
    try await connection.startWaitingForChange(
      in: LogCollection.name, milliseconds: Self.questionMilliseconds)
    var questions = 0
    repeat {
      // First of all: what came before the stream began is not told by it.
      if questions.isMultiple(of: Self.questionsMax), try await hasGrown() { break }
      log.doorbell.watch(for: Self.watch)
      questions += 1
    } while try await !connection.waitForChange() && !Task.isCancelled
    await connection.stopWaitingForChange()
  }

  private func hasGrown() async throws -> Bool {
    let now = try await end()
    guard now > log.doorbell.head else { return false }
    log.doorbell.ring(now)
    return true
  }

  private func end() async throws -> Position {
    try await connection.run { try $0.lastCommit()?.last ?? .start }
  }

  private func followUntilRest() async throws {
    var seen = Position.start
    var movedAt = ContinuousClock.now
    while .now - movedAt < Self.rest {
      let now = try await end()
      // Of its own batches this process tells its readers in a moment, and they find them in memory
      // then. Should it not, the log is at rest, and looked at by ``hasGrown()``.
      if now > log.sentThrough, now > log.doorbell.head { log.doorbell.ring(now) }
      log.doorbell.watch(for: Self.watch)
      if now > seen {
        seen = now
        movedAt = .now
      }
      try await Task.sleep(for: log.outstanding > 0 ? Self.intervalAppending : Self.interval)
    }
  }
}
