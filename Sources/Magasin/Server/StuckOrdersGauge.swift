import EventSourcing
import Projections
import ServiceLifecycle

/// Counts the choreographed orders that have stood still for too long, every few seconds: one look
/// into an index. The process that drives their read model tells, the others are silent.
struct StuckOrdersGauge: Service {
  private static let metric = "magasin_choreographies_stuck"
  private static let interval: Duration = .seconds(5)

  let queries: ChoreographyQueries
  let board: ProjectionBoard

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        await update()
        try? await Task.sleep(for: Self.interval)
      }
    }
  }

  private func update() async {
    let name = ChoreographiesProjection().name
    let isDriven = board.statuses.contains { $0.projection == name && $0.activity == .driving }
    let registry = PrometheusRegistry.shared
    if isDriven, let count = try? await queries.stuckCount() {
      registry.set(Self.metric, [], Double(count))
    } else {
      registry.remove(Self.metric, [])
    }
  }
}
