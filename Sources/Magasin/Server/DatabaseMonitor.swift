import EventSourcing
import Mongo
import ServiceLifecycle
import Synchronization

/// Asks MongoDB once a second whether it takes writes, so that readiness answers at once and truly
/// even while the database hangs.
final class DatabaseMonitor: Service {
  private static let interval: Duration = .seconds(1)
  /// An answer older than this says nothing about now.
  private static let freshness: Duration = .seconds(3)

  private struct State {
    var lastGood: ContinuousClock.Instant?
    var detail = "not asked yet"
  }

  private let connection: MongoConnection
  private let state = Mutex(State())

  init(_ database: MongoDatabase) {
    connection = database.dedicatedConnection(name: "monitor")
  }

  var isWritable: Bool {
    state.withLock { state in state.lastGood.map { .now - $0 < Self.freshness } ?? false }
  }

  var detail: String {
    if isWritable { return "the primary answers" }
    return state.withLock(\.detail)
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      while !Task.isCancelled {
        await ask()
        try? await Task.sleep(for: Self.interval)
      }
    }
  }

  private func ask() async {
    do {
      let reply = try await connection.serverCommand(
        BSONDocument { $0.append("hello", int32: 1) }, operation: "hello")
      let isPrimary = reply.withView { $0["isWritablePrimary"]?.bool ?? false }
      state.withLock { state in
        if isPrimary { state.lastGood = .now }
        state.detail = isPrimary ? "the primary answered some time ago" : "no primary"
      }
    } catch {
      state.withLock { $0.detail = "no answer" }
    }
  }
}
