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
    // Appended, not set: setting looks every header through, and no route sets these.
    response.headers.append(HTTPField(name: .requestID, value: context.requestID))
    response.headers.append(HTTPField(name: .xContentTypeOptions, value: "nosniff"))
    if !response.headers.contains(.cacheControl) {
      response.headers.append(HTTPField(name: .cacheControl, value: "no-store"))
    }
    return response
  }
}
