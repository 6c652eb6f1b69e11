import EventSourcing
import HTTPTypes
import Hummingbird

/// What happens to every request and every answer. One middleware: each costs a request a
/// microsecond.
///
/// A request gets an id, its own or the caller's. An answer gets the headers that keep browsers
/// from guessing and caches from keeping; an error becomes a problem. Both are counted and timed.
struct EdgeMiddleware: RouterMiddleware {
  typealias Context = APIContext

  let admission: Admission
  let problems: ProblemAnswers
  let metrics = RequestMetrics()

  func handle(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    let started = ContinuousClock.now
    var context = context
    if let given = request.headers.value(of: .requestID), StreamName.isLegal(given) {
      context.requestID = given
    }
    var response: Response
    do {
      try admission.check(request)
      response = try await next(request, context)
    } catch let failure as ConnectionFailure {
      throw failure.cause
    } catch {
      response = problems.answer(error, to: request, context)
    }
    complete(&response.headers, context)
    metrics.record(request, context, response, since: started)
    return response
  }

  private func complete(_ headers: inout HTTPFields, _ context: APIContext) {
    // Appended, not set: setting looks every header through, and no route sets these.
    headers.append(HTTPField(name: .requestID, value: context.requestID))
    headers.append(HTTPField(name: .xContentTypeOptions, value: "nosniff"))
    if !headers.contains(.cacheControl) {
      headers.append(HTTPField(name: .cacheControl, value: "no-store"))
    }
  }
}
