import EventSourcing
import Logging
import Mongo
import ServiceLifecycle

/// Rings the log's doorbell when any process has appended: a change stream that carries no data.
/// Losing its place costs nothing, since readers also look once a second by themselves.
public struct ChangeStreamDoorbell: Service {
  private let log: MongoLog
  private let connection: MongoConnection
  private let logger: Logger

  public init(_ log: MongoLog, logger: Logger) {
    self.log = log
    self.connection = log.database.dedicatedConnection(name: "doorbell")
    self.logger = logger
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var attempt = 0
      while !Task.isCancelled {
        do {
          if try await connection.waitForChange(in: LogCollection.name, milliseconds: 500) {
            log.doorbell.ring(try await log.head())
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
}
