import HTTPTypes
import Hummingbird
import Logging

/// Turns every error of a route into a problem, and tells a wrong method from a wrong address.
struct ProblemAnswers {
  let routes: RouteTable
  let isUnavailable: @Sendable (any Error) -> Bool

  func answer(_ error: any Error, to request: Request, _ context: APIContext) -> Response {
    var problem = Problem(error, isUnavailable: isUnavailable)
    if problem.kind == .unknownRoute { refine(&problem, request) }
    if let level = problem.kind.logLevel {
      context.logger.log(
        level: level, "request failed",
        metadata: [
          "error": "\(error)", "path": "\(request.uri.path)",
          "problem": "\(problem.kind.rawValue)", "request_id": "\(context.requestID)",
        ])
    }
    return problem.response(instance: request.uri.path, requestID: context.requestID)
  }

  /// Turns a wrong address into a wrong method where that is what it is.
  private func refine(_ problem: inout Problem, _ request: Request) {
    let allowed = routes.methods(at: request.uri.path)
    guard !allowed.isEmpty, !allowed.contains(request.method.rawValue) else { return }
    problem = Problem(
      .methodNotAllowed, "this address takes \(allowed.joined(separator: ", "))",
      headers: [.allow: allowed.joined(separator: ", ")])
  }
}

extension Problem.Kind {
  /// Nil for what is the caller's business alone.
  fileprivate var logLevel: Logger.Level? {
    switch self {
    case .internalError: .error
    case .notDone, .outcomeUnknown: .warning
    case .readModelBehind: .info
    default: nil
    }
  }
}
