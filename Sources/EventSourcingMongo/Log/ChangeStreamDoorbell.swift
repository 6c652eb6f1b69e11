import EventSourcing
import Logging
import Mongo
import ServiceLifecycle

/// Rings the log's doorbell when any process has appended: a change stream that carries no data
/// while the log is at rest, a look at its end every few milliseconds while it grows, since the
/// server prepares each change that a stream delivers. Losing its place costs nothing, since readers
/// also look once a second by themselves.
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

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var attempt = 0
      while !Task.isCancelled {
        do {
          if try await connection.waitForChange(in: LogCollection.name, milliseconds: 500) {
            await connection.stopWaitingForChange()
            try await followUntilRest()
          }
          attempt = 0
        } catch {
          attempt += 1
          logger.debug("the doorbell is broken, polling", metadata: ["error": "\(error)"])
          try? await Task.sleep(for: Backoff.standard.delay(attempt: attempt))
        }
      }
    }
  }

  private func followUntilRest() async throws {
    var seen = Position.start
    var movedAt = ContinuousClock.now
    while .now - movedAt < Self.rest {
      let now = try await connection.run { try $0.lastCommit()?.last ?? .start }
      // While this process appends, it may be its own batch, which its readers will be told of in a
      // moment and find in memory then: such news waits for one look.
      let isAppending = log.outstanding > 0
      let news = isAppending ? seen : now
      if news > log.doorbell.head { log.doorbell.ring(news) }
      if now > seen {
        seen = now
        movedAt = .now
      }
      try await Task.sleep(for: isAppending ? Self.intervalAppending : Self.interval)
    }
  }
}
