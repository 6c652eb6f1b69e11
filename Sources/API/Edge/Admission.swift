import EventSourcing
import HTTPTypes
import Hummingbird

/// Refuses commands (every POST but an operator's rebuild) while the log has more to do than it can:
/// at once, before the body is read, since refusing must stay cheap when there is much to refuse.
struct Admission {
  let log: any EventLog

  /// - Throws: ``Problem/overloaded``.
  func check(_ request: Request) throws {
    if request.method == .post, log.isOverloaded, !request.uri.path.hasPrefix("/projections") {
      throw Problem.overloaded
    }
  }
}
