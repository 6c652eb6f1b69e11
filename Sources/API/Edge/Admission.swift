import EventSourcing
import HTTPTypes
import Hummingbird

/// Refuses commands (every POST but an operator's rebuild) while the log has more to do than it can,
/// and new orders while those before them are not carried out in time:
/// at once, before the body is read, since refusing must stay cheap when there is much to refuse.
struct Admission {
  let log: any EventLog
  /// Whether orders wait for too long to be carried out.
  let isBehind: @Sendable () -> Bool

  /// - Throws: ``Problem/overloaded``.
  func check(_ request: Request) throws {
    if request.method == .post, log.isOverloaded, !request.uri.path.hasPrefix("/projections") {
      throw Problem.overloaded
    }
    if request.method == .post, request.uri.path == "/cqrs/commands/orders", isBehind() {
      throw Problem.overloaded
    }
  }
}
