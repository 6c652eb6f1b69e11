import EventSourcing
import HTTPTypes
import Hummingbird

/// Refuses commands (every POST but an operator's rebuild) while the log has more to do than it can: at once, before the body is read,
/// since refusing must stay cheap when there is much to refuse.
struct AdmissionMiddleware: RouterMiddleware {
  typealias Context = APIContext

  let log: any EventLog

  func handle(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    if request.method == .post, log.isOverloaded, !request.uri.path.hasPrefix("/projections") {
      throw Problem.overloaded
    }
    return try await next(request, context)
  }
}
