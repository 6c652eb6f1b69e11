import HTTPTypes
import Hummingbird

/// The `wait` preference of RFC 7240: how long the caller would wait for the outcome.
enum Preference {
  static let waitSecondsMax = 30

  /// The seconds of `Prefer: wait=5`, cut to 30; nil without one. A preference that cannot be read
  /// is ignored, as RFC 7240 asks.
  static func waitSeconds(_ request: Request) -> Int? {
    guard let header = request.headers.value(of: .prefer) else { return nil }
    for preference in header.split(separator: ",") {
      let parts = preference.prefix { $0 != ";" }.split(separator: "=")
      guard parts.count == 2, parts[0].trimmed.lowercased() == "wait" else { continue }
      guard let seconds = Int(parts[1].trimmed), seconds >= 0 else { return nil }
      return min(seconds, waitSecondsMax)
    }
    return nil
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var text = self
    while text.first == " " || text.first == "\t" { text.removeFirst() }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return text
  }
}
