import EventSourcing
import Projections

/// Counts the choreographed orders that have stood still for too long, every few seconds: one look
/// into an index. The process that drives their read model tells, the others are silent.
struct StuckOrdersGauge: PeriodicGauge {
  private static let metric = "magasin_choreographies_stuck"

  let queries: ChoreographyQueries
  let board: ProjectionBoard

  func update() async {
    let registry = PrometheusRegistry.shared
    if board.isDriving(ChoreographiesProjection().name), let count = try? await queries.stuckCount()
    {
      registry.set(Self.metric, [], Double(count))
    } else {
      registry.remove(Self.metric, [])
    }
  }
}
