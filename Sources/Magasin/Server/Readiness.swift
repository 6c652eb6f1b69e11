import API
import EventSourcing
import Projections

/// Whether this process should be sent requests: MongoDB takes writes, the projections move.
struct Readiness {
  /// An idle projection reports once a second, a waiting one more often.
  private static let silenceMax: Duration = .seconds(5)

  let board: ProjectionBoard
  let monitor: DatabaseMonitor
  let roles: Set<Role>

  func report() async -> ReadinessReport {
    var checks = [
      ReadinessReport.Check(
        name: "mongodb", isReady: monitor.isWritable, detail: monitor.detail)
    ]
    if roles.contains(.projections) {
      checks += ReadModels.all.map { check($0.name) }
    }
    return ReadinessReport(checks: checks)
  }

  private func check(_ projection: String) -> ReadinessReport.Check {
    let name = "projection \(projection)"
    guard let status = board.status(of: projection) else {
      return ReadinessReport.Check(name: name, isReady: false, detail: "not started yet")
    }
    let place = status.progress.map { "at \($0.position)" } ?? "nowhere yet"
    if status.failure != nil {
      return ReadinessReport.Check(name: name, isReady: false, detail: "stopped \(place)")
    }
    let silence = ContinuousClock.now - status.reported
    guard silence < Self.silenceMax else {
      return ReadinessReport.Check(
        name: name, isReady: false, detail: "silent for \(silence.components.seconds) s \(place)")
    }
    // Not driven and without a failure it is about to be: the lease goes from hand to hand.
    return ReadinessReport.Check(
      name: name, isReady: true,
      detail: status.activity == .standby ? "driven by another process" : place)
  }
}
