import EventSourcing
import Projections
import Sagas
import Synchronization

/// The sagas that this process runs, from taking their subscription over to giving it up.
final class RunningSagas: Sendable {
  private let session = Mutex<SagaSession<OrderFulfilment>?>(nil)
  /// Of sessions that are over: counters never fall.
  private let past = Mutex(0)

  func begin(_ new: SagaSession<OrderFulfilment>) {
    let old = session.withLock { session in
      defer { session = new }
      return session
    }
    if let old { past.withLock { $0 += old.handler.counts.resent } }
  }

  /// - Parameter isWorking: whether the subscription is run here, and not by another process.
  func update(_ registry: PrometheusRegistry, isWorking: Bool) {
    let session = session.withLock { $0 }
    let resent = past.withLock { $0 } + (session?.handler.counts.resent ?? 0)
    registry.set("magasin_saga_commands_resent_total", [], Double(resent))
    guard isWorking, let session else {
      for name in Self.standing { registry.remove(name, []) }
      return
    }
    let timers = session.timers.standing
    registry.set("magasin_saga_dispatch_unsent", [], Double(session.handler.counts.unsent))
    registry.set("magasin_saga_timers", [], Double(timers.waiting))
    registry.set("magasin_saga_timer_lag_seconds", [], timers.overdueSeconds)
  }

  private static let standing = [
    "magasin_saga_dispatch_unsent", "magasin_saga_timers", "magasin_saga_timer_lag_seconds",
  ]
}

/// Tells every few seconds how many sagas wait in which state, and for how long: looks into indexes
/// that hold the sagas that have not ended. The process that drives their read model tells, the
/// others are silent.
struct SagaGauges: PeriodicGauge {
  private static let count = "magasin_sagas"
  private static let oldest = "magasin_saga_oldest_seconds"
  private static let blocked = "magasin_sagas_blocked"
  private static let suspended = "magasin_sagas_suspended"

  let queries: SagaQueries
  let board: ProjectionBoard

  func update() async {
    let registry = PrometheusRegistry.shared
    guard board.isDriving(SagasProjection().name), let waiting = try? await queries.waiting(),
      let suspended = try? await queries.suspendedCount()
    else {
      for state in SagaRow.openStates {
        registry.remove(Self.count, [("state", state)])
        registry.remove(Self.oldest, [("state", state)])
      }
      registry.remove(Self.blocked, [])
      registry.remove(Self.suspended, [])
      return
    }
    let now = Timestamp.now
    for state in waiting {
      let labels = [("state", state.state)]
      let age = state.oldest.map { now.millisecondsSinceEpoch - $0.millisecondsSinceEpoch } ?? 0
      registry.set(Self.count, labels, Double(state.count))
      registry.set(Self.oldest, labels, Double(max(0, age)) / 1000)
    }
    let blocked = waiting.first { $0.state == OrderFulfilment.Stage.compensationBlocked.rawValue }
    registry.set(Self.blocked, [], Double(blocked?.count ?? 0))
    registry.set(Self.suspended, [], Double(suspended))
  }
}
