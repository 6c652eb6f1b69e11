import HTTPTypes
import Hummingbird
import Metrics
import Synchronization

/// Counts requests and measures how long their answers took to make.
///
/// `http_requests_total{method,route,status}` and `http_request_duration_seconds{method,route}`.
/// The labels are bounded: the route is its pattern, never the path that was asked for.
struct RequestMetrics {
  private struct Key: Hashable {
    var method: String
    var route: String
    var status: Int
  }

  private final class Instruments: Sendable {
    private let kept = Mutex<[Key: (counter: Counter, timer: Timer)]>([:])

    func find(_ key: Key) -> (counter: Counter, timer: Timer) {
      kept.withLock { kept in
        if let found = kept[key] { return found }
        let route = [("method", key.method), ("route", key.route)]
        let made = (
          counter: Counter(
            label: "http_requests_total", dimensions: route + [("status", "\(key.status)")]),
          timer: Timer(
            label: "http_request_duration_seconds", dimensions: route,
            preferredDisplayUnit: .seconds)
        )
        kept[key] = made
        return made
      }
    }
  }

  private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

  private let instruments = Instruments()

  func record(
    _ request: Request, _ context: APIContext, _ response: Response,
    since started: ContinuousClock.Instant
  ) {
    let method = request.method.rawValue
    let endpoint = context.endpointPath
    let (counter, timer) = instruments.find(
      Key(
        method: Self.methods.contains(method) ? method : "OTHER",
        route: endpoint == nil || endpoint == "NotFound" ? "unmatched" : endpoint ?? "",
        status: response.status.code))
    counter.increment()
    timer.record(duration: .now - started)
  }
}
