import EventSourcing
import Hummingbird
import Logging
import ServiceLifecycle

/// What an error looks like outside (RFC 9457). The only place where an error becomes a status.
struct Problem: Error, Sendable {
  enum Code: String, Sendable {
    case malformedBody = "MALFORMED_BODY"
    case invalidField = "INVALID_FIELD"
    case bodyTooLarge = "BODY_TOO_LARGE"
    case requestTimeout = "REQUEST_TIMEOUT"
    case idempotencyKeyMissing = "IDEMPOTENCY_KEY_MISSING"
    case idempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED"
    case notFound = "NOT_FOUND"
    case paymentNotFound = "PAYMENT_NOT_FOUND"
    case cardDeclined = "CARD_DECLINED"
    case insufficientFunds = "INSUFFICIENT_FUNDS"
    case expiredCard = "EXPIRED_CARD"
    case voided = "VOIDED"
    case serviceUnavailable = "SERVICE_UNAVAILABLE"
    case ledgerUnavailable = "LEDGER_UNAVAILABLE"
    case internalError = "INTERNAL_ERROR"

    init(_ decline: DeclineCode) {
      switch decline {
      case .cardDeclined: self = .cardDeclined
      case .insufficientFunds: self = .insufficientFunds
      case .expiredCard: self = .expiredCard
      }
    }

    var title: String {
      switch self {
      case .malformedBody: "The body is not JSON as it should be"
      case .invalidField: "A field is not right"
      case .bodyTooLarge: "The body is too large"
      case .requestTimeout: "The body took too long to arrive"
      case .idempotencyKeyMissing: "An Idempotency-Key is required"
      case .idempotencyKeyReused: "The Idempotency-Key was used for another request"
      case .notFound: "There is nothing here"
      case .paymentNotFound: "There is no such payment"
      case .cardDeclined: "The card was declined"
      case .insufficientFunds: "There is not enough money"
      case .expiredCard: "The card has expired"
      case .voided: "The payment was undone"
      case .serviceUnavailable: "The service is not available"
      case .ledgerUnavailable: "The ledger is not available"
      case .internalError: "Something went wrong"
      }
    }

    /// `urn:magasin:payments:card-declined`.
    var type: String {
      "urn:magasin:payments:" + rawValue.lowercased().replacing("_", with: "-")
    }
  }

  var status: HTTPResponse.Status
  var code: Code
  var detail: String
  var members: Fields

  init(
    _ status: HTTPResponse.Status, _ code: Code, _ detail: String, members: Fields = Fields()
  ) {
    self.status = status
    self.code = code
    self.detail = detail
    self.members = members
  }

  var response: Response {
    var body: Fields = [
      "type": .string(code.type), "title": .string(code.title),
      "status": .integer(Int64(status.code)), "detail": .string(detail),
      "error_code": .string(code.rawValue),
    ]
    for member in members.entries { body[member.key] = member.value }
    return .json(body, status: status, mediaType: "application/problem+json")
  }
}

extension Problem {
  init(_ error: FieldError) {
    let status: HTTPResponse.Status =
      switch error.problem {
      case .missing, .unknown, .wrongType: .badRequest
      case .invalid: .unprocessableContent
      }
    self.init(
      status, .invalidField, error.description, members: ["field": .string(error.field)])
  }

  /// Nil for the refusal that has no answer at all.
  init?(_ refusal: PaymentRefusal) {
    switch refusal {
    case .unknownPayment(let id):
      self.init(.notFound, .paymentNotFound, "there is no payment \(id)")
    case .keyReused(let key):
      self.init(
        .unprocessableContent, .idempotencyKeyReused,
        "the key \(key) came before with another request",
        members: ["field": "Idempotency-Key"])
    case .voided(let id):
      self.init(
        .conflict, .voided, "the payment was undone and will not be paid",
        members: ["payment_id": .string(id)])
    case .declined(let payment):
      let decline = payment.decline ?? .cardDeclined
      self.init(
        HTTPResponse.Status(code: 402, reasonPhrase: "Payment Required"), Code(decline),
        decline.reason, members: payment.processingAnswer)
    case .serviceUnavailable:
      self.init(.serviceUnavailable, .serviceUnavailable, "simulated: nothing was done")
    case .failedAfterwards:
      self.init(.internalServerError, .internalError, "simulated: nobody knows what was done")
    case .neverAnswered: return nil
    }
  }
}

/// Turns every error into a problem, and a refusal without an answer into a closed connection.
struct ProblemMiddleware: RouterMiddleware {
  let heldConnectionMilliseconds: Int64

  func handle(
    _ request: Request, context: ProviderContext,
    next: (Request, ProviderContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let refusal as PaymentRefusal {
      if let problem = Problem(refusal) { return problem.response }
      try? await cancelWhenGracefulShutdown {
        try await Task.sleep(for: .milliseconds(heldConnectionMilliseconds))
      }
      await context.hangUp()
      return Response(status: .noContent)
    } catch {
      return problem(error, logger: context.logger).response
    }
  }

  private func problem(_ error: any Error, logger: Logger) -> Problem {
    switch error {
    case let problem as Problem: return problem
    case let error as FieldError: return Problem(error)
    case let error as JSONReader.SyntaxError:
      return Problem(.badRequest, .malformedBody, error.description)
    case let error as LedgerUnavailable:
      logger.warning("the ledger is unavailable", metadata: ["reason": "\(error.reason)"])
      return Problem(
        .serviceUnavailable, .ledgerUnavailable,
        "the outcome is not known: send the same request again with the same Idempotency-Key",
        members: ["outcome": "unknown"])
    case is CancellationError:
      return Problem(.serviceUnavailable, .serviceUnavailable, "the provider is shutting down")
    case let error as any HTTPResponseError where error.status.code < 500:
      let code: Problem.Code = error.status == .notFound ? .notFound : .malformedBody
      return Problem(error.status, code, error.status.reasonPhrase)
    default:
      logger.error("a request failed", metadata: ["error": "\(error)"])
      return Problem(.internalServerError, .internalError, "the provider failed")
    }
  }
}
