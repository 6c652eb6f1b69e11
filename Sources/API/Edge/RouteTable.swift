import HTTPTypes
import Hummingbird
import Synchronization

/// Which methods an address takes: looked up only when the router has found nothing.
///
/// Filled once, after the last route was added; the middleware that asks is built before.
final class RouteTable: Sendable {
  private struct Entry {
    var segments: [Substring]
    var methods: [String]
  }

  private let entries = Mutex<[Entry]>([])

  func fill(from router: Router<APIContext>) {
    var methods: [String: [String]] = [:]
    for route in router.routes {
      methods[route.path.description, default: []].append(route.method.rawValue)
    }
    let filled = methods.map { Entry(segments: Self.segments($0), methods: $1) }
    entries.withLock { $0 = filled }
  }

  /// In order of the alphabet; GET comes with HEAD.
  func methods(at path: String) -> [String] {
    let segments = Self.segments(path)
    let found = entries.withLock { entries in
      entries.filter { Self.matches($0.segments, segments) }.flatMap(\.methods)
    }
    return (found.contains("GET") ? found + ["HEAD"] : found).sorted()
  }

  private static func segments(_ path: String) -> [Substring] { path.split(separator: "/") }

  private static func matches(_ pattern: [Substring], _ path: [Substring]) -> Bool {
    pattern.count == path.count
      && zip(pattern, path).allSatisfy { $0.first == "{" || $0 == $1 }
  }
}
