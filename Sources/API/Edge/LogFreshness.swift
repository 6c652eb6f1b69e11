import EventSourcing
import Hummingbird

/// Reading one's own writes from the log itself. It is read at majority and holds what was answered
/// to be in it, so that a position is there at once, unless it is made up or the storage has failed
/// over to a member that has not got so far: then a read waits a bounded time, and says where the
/// log stands.
struct LogFreshness: RouterMiddleware {
  typealias Context = APIContext

  let log: any EventLog
  let waitMax: Duration

  func handle(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    if request.method == .get || request.method == .head,
      let minimum = try Queries.minimumPosition(request)
    {
      try await reach(minimum)
    }
    return try await next(request, context)
  }

  private func reach(_ minimum: Position) async throws {
    let deadline = ContinuousClock.now + waitMax
    while true {
      let head = try await log.head()
      if head >= minimum { return }
      let left = deadline - .now
      guard left > .zero else { throw Problem.behind("the log", at: head, before: minimum) }
      try await Task.sleep(for: min(left, .milliseconds(20)))
    }
  }
}
