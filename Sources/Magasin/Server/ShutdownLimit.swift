import Foundation
import Logging
import ServiceLifecycle

/// Ends the process when an orderly end takes too long: a database that keeps silent, a caller that
/// does not read its answer.
struct ShutdownLimit: Service {
  /// Seconds from the signal.
  private static let seconds = 9.5

  let logger: Logger

  func run() async throws {
    await withGracefulShutdownHandler {
      try? await gracefulShutdown()
    } onGracefulShutdown: { [logger] in
      DispatchQueue.global().asyncAfter(deadline: .now() + Self.seconds) {
        logger.warning("ending with requests unanswered: their outcome is unknown")
        exit(1)
      }
    }
  }
}
