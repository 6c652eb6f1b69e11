import EventSourcing
import EventSourcingMongo
import Sagas

/// What is read at the moment of a scrape: positions, lags, queues.
struct ServerGauges {
  let log: MongoLog
  let board: ProjectionBoard
  let subscriptions: [Subscription]
  let rebuilds: ProjectionOperator
  let monitor: DatabaseMonitor
  let sagas: RunningSagas

  func update() {
    let registry = PrometheusRegistry.shared
    let head = log.doorbell.head.rawValue
    registry.set("magasin_log_position", [], Double(head))
    registry.set("magasin_append_queue", [], Double(log.outstanding))
    registry.set("magasin_append_conflicts_total", [], Double(log.conflicts))
    registry.set("magasin_mongodb_writable", [], monitor.isWritable ? 1 : 0)
    for status in board.statuses {
      let labels = [("projection", status.projection)]
      let isDriving = status.activity == .driving
      registry.set("magasin_projection_driving", labels, isDriving ? 1 : 0)
      registry.set("magasin_projection_stopped", labels, status.failure == nil ? 0 : 1)
      // Of what another process drives, that one tells.
      guard isDriving, let position = status.progress?.position.rawValue else {
        registry.remove("magasin_projection_position", labels)
        registry.remove("magasin_projection_lag_events", labels)
        continue
      }
      registry.set("magasin_projection_position", labels, Double(position))
      registry.set("magasin_projection_lag_events", labels, Double(max(0, head - position)))
    }
    for rebuild in rebuilds.rebuilds {
      let labels = [("projection", rebuild.projection)]
      registry.set("magasin_rebuild_running", labels, rebuild.state == .running ? 1 : 0)
      registry.set("magasin_rebuild_position", labels, Double(rebuild.position.rawValue))
      registry.set(
        "magasin_rebuild_events_per_second", labels, Double(rebuild.eventsPerSecond))
      registry.set("magasin_rebuild_seconds_left", labels, Double(rebuild.secondsLeft))
    }
    for subscription in subscriptions {
      let labels = [("subscription", subscription.name)]
      let progress = subscription.progress
      registry.set("magasin_subscription_position", labels, Double(progress.checkpoint.rawValue))
      registry.set("magasin_subscription_outstanding", labels, Double(progress.outstanding))
    }
    if let subscription = subscriptions.first(where: { $0.name == OrderFulfilment.name }) {
      sagas.update(registry, isWorking: subscription.isWorking)
    }
  }
}
