import EventSourcing
import HTTPTypes
import Hummingbird

/// Gives every request an id, its own or the caller's, and every response the headers that keep
/// browsers from guessing and caches from keeping.
struct ResponseHeadersMiddleware: RouterMiddleware {
  typealias Context = APIContext

  func handle(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    var context = context
    if let given = request.headers[.requestID], StreamName.isLegal(given) {
      context.requestID = given
    }
    var response = try await next(request, context)
    response.headers[.requestID] = context.requestID
    response.headers[.xContentTypeOptions] = "nosniff"
    if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
    return response
  }
}
