import EventSourcing
import HTTPTypes
import Hummingbird

/// An answer that says no, as `application/problem+json` (RFC 9457).
///
/// This file and `Problem+Commerce.swift`, its half about the shop's own refusals, are the only
/// places where an error becomes a status. A problem never quotes a database or a stack.
public struct Problem: Error, Sendable {
  /// The closed list of problems. The raw value ends the `type` URI and never changes.
  public enum Kind: String, Sendable, CaseIterable {
    case malformedJSON = "malformed-json"
    case missingField = "missing-field"
    case unknownField = "unknown-field"
    case wrongType = "wrong-type"
    case invalidValue = "invalid-value"
    case unsupported = "unsupported"
    case historyNotKept = "history-not-kept"
    case unknownRoute = "unknown-route"
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    case versionConflict = "version-conflict"
    case insufficientStock = "insufficient-stock"
    case refused = "refused"
    case orderCancelled = "order-cancelled"
    case rebuildRunning = "rebuild-running"
    case sagaActRefused = "saga-act-refused"
    case requestTimeout = "request-timeout"
    case bodyTooLarge = "body-too-large"
    case unsupportedMediaType = "unsupported-media-type"
    case unknownProduct = "unknown-product"
    case retiredProduct = "retired-product"
    case unknownCustomer = "unknown-customer"
    case unknownOrder = "unknown-order"
    case amountMismatch = "amount-mismatch"
    case currencyMismatch = "currency-mismatch"
    case idempotencyKeyReused = "idempotency-key-reused"
    case reservedCategory = "reserved-category"
    case notDone = "not-done"
    case overloaded = "overloaded"
    case outcomeUnknown = "outcome-unknown"
    case readModelBehind = "read-model-behind"
    case internalError = "internal-error"
  }

  public var kind: Kind
  /// What went wrong this time, for a person.
  public var detail: String
  /// The field of the body, the path, the query or the headers that is at fault: `items[0].quantity`.
  public var field: String?
  /// Further members: `outcome`, `retry_after_seconds`, `available_quantity`, …
  public var members: Fields
  public var headers: HTTPFields

  public init(
    _ kind: Kind, _ detail: String, field: String? = nil, members: Fields = [:],
    headers: HTTPFields = [:]
  ) {
    self.kind = kind
    self.detail = detail
    self.field = field
    self.members = members
    self.headers = headers
  }

  public var status: HTTPResponse.Status { kind.status }

  /// A caller's own words (an unknown field's name) are quoted up to so many characters.
  private static let textMax = 300

  func response(instance: String, requestID: String) -> Response {
    var body: Fields = [
      "type": .string("/problems/\(kind.rawValue)"), "title": .string(kind.title),
      "status": .integer(Int64(status.code)),
      "detail": .string(String(detail.prefix(Self.textMax))),
    ]
    if let field { body["field"] = .string(String(field.prefix(Self.textMax))) }
    body["instance"] = .string(instance)
    body["request_id"] = .string(requestID)
    body["success"] = false
    for entry in members.entries { body[entry.key] = entry.value }
    let response = Response.json(
      .object(body), status: status, contentType: "application/problem+json", headers: headers)
    return kind == .requestTimeout ? response.endingConnection() : response
  }
}

extension Response {
  /// The same; the rest of the request is not read, and the connection is closed.
  fileprivate func endingConnection() -> Response {
    var headers = headers
    headers[.connection] = "close"
    let whole = body
    return Response(
      status: status, headers: headers,
      body: ResponseBody(contentLength: whole.contentLength) { writer in
        try await whole.write(writer)
        throw ConnectionFailure(cause: CancellationError())
      })
  }
}

extension Problem.Kind {
  public var status: HTTPResponse.Status {
    switch self {
    case .malformedJSON, .missingField, .unknownField, .wrongType, .unsupported: .badRequest
    case .unknownRoute, .notFound: .notFound
    case .methodNotAllowed: .methodNotAllowed
    case .versionConflict, .insufficientStock, .refused, .orderCancelled, .rebuildRunning,
      .sagaActRefused:
      .conflict
    case .requestTimeout: .requestTimeout
    case .bodyTooLarge: .contentTooLarge
    case .unsupportedMediaType: .unsupportedMediaType
    case .invalidValue, .historyNotKept, .unknownProduct, .retiredProduct, .unknownCustomer,
      .unknownOrder,
      .amountMismatch, .currencyMismatch, .idempotencyKeyReused, .reservedCategory:
      .unprocessableContent
    case .notDone, .overloaded, .outcomeUnknown, .readModelBehind: .serviceUnavailable
    case .internalError: .internalServerError
    }
  }

  public var title: String {
    switch self {
    case .malformedJSON: "The body is not one strict JSON object"
    case .missingField: "A field is missing"
    case .unknownField: "A field is not known"
    case .wrongType: "A field has the wrong type"
    case .invalidValue: "A value is out of range"
    case .unsupported: "A parameter is not taken here"
    case .historyNotKept: "The past is not kept that far"
    case .unknownRoute: "There is nothing at this address"
    case .notFound: "There is no such thing"
    case .methodNotAllowed: "The address does not take this method"
    case .versionConflict: "Somebody else changed it first"
    case .insufficientStock: "There is not enough stock"
    case .refused: "The command is not possible now"
    case .orderCancelled: "The order was cancelled"
    case .rebuildRunning: "A rebuild is running already"
    case .sagaActRefused: "The saga is not in a state for that"
    case .requestTimeout: "The body took too long"
    case .bodyTooLarge: "The body is too large"
    case .unsupportedMediaType: "The content type is not taken"
    case .unknownProduct: "The product is not in the catalogue"
    case .retiredProduct: "The product is no longer sold"
    case .unknownCustomer: "The customer is not known"
    case .unknownOrder: "The order is not known"
    case .amountMismatch: "The amount is not the one that is due"
    case .currencyMismatch: "The currency is not that of the prices"
    case .idempotencyKeyReused: "The idempotency key was used with another request"
    case .reservedCategory: "These events are written by commands only"
    case .notDone: "Nothing was done, send it again"
    case .overloaded: "Too much at once, send it again in a moment"
    case .outcomeUnknown: "The outcome is not known yet, send the same again"
    case .readModelBehind: "The read model has not come that far yet"
    case .internalError: "Something is wrong on our side"
    }
  }
}

extension Problem {
  private static func unavailable(
    _ kind: Kind, _ detail: String, outcome: String, members: Fields = [:]
  ) -> Problem {
    Problem(
      kind, detail, members: Fields([("outcome", .string(outcome))] + members.pairs),
      headers: [.retryAfter: "1"])
  }

  /// Nothing was written and nothing will be.
  static func notDone(_ detail: String) -> Problem {
    unavailable(.notDone, detail, outcome: "not_done")
  }

  /// More is asked for than can be done; nothing was written.
  static var overloaded: Problem {
    unavailable(
      .overloaded, "too many commands are waiting; nothing was done", outcome: "not_done")
  }

  /// The problem that an error is. `isUnavailable` knows the storage's passing faults.
  public init(_ error: any Error, isUnavailable: @Sendable (any Error) -> Bool) {
    switch error {
    case let problem as Problem: self = problem
    case let error as FieldError: self.init(error)
    case let error as JSONReader.SyntaxError:
      self.init(
        .malformedJSON, error.description, members: ["offset": .integer(Int64(error.offset))])
    case let error as AppendConflict:
      var members: Fields = ["stream": .string(error.stream.description)]
      members["actual_version"] = error.actual.map { .integer($0.rawValue) }
      self.init(.versionConflict, error.description, members: members)
    case is CommandIDReused:
      self.init(
        .idempotencyKeyReused,
        "the same Idempotency-Key came with another request before; nothing was done",
        field: "Idempotency-Key")
    case let error as AppendFailure: self.init(error)
    case let error as HTTPError: self.init(error)
    default:
      if let known = Problem(ofCommerce: error) {
        self = known
      } else if isUnavailable(error) {
        self = .notDone("the store cannot be reached at the moment")
      } else {
        self.init(.internalError, "the request could not be answered; the server's log says why")
      }
    }
  }

  public init(_ error: FieldError) {
    let kind: Kind =
      switch error.problem {
      case .missing: .missingField
      case .unknown: .unknownField
      case .wrongType: .wrongType
      case .invalid: .invalidValue
      }
    self.init(kind, error.description, field: error.field)
  }

  private init(_ failure: AppendFailure) {
    switch failure {
    case .invalid(let reason): self.init(.invalidValue, reason)
    case .notDone: self = .notDone("the command was not carried out; send it again")
    case .overloaded: self = .overloaded
    case .unknown(let id):
      self = Problem.unavailable(
        .outcomeUnknown,
        "it is not known whether the command was carried out; sending the same Idempotency-Key "
          + "again settles it",
        outcome: "unknown", members: ["command_id": .string(id.description)])
    }
  }

  /// What the router and the server themselves refuse.
  private init(_ error: HTTPError) {
    switch error.status {
    case .notFound: self.init(.unknownRoute, "there is no such address here")
    case .contentTooLarge:
      self.init(.bodyTooLarge, "a body holds at most \(StrictBody.bytesMax) bytes")
    case .unsupportedMediaType: self.init(.unsupportedMediaType, "send application/json")
    default: self.init(.internalError, "the request could not be answered")
    }
  }
}

extension Fields {
  var pairs: [(String, Value)] { entries.map { ($0.key, $0.value) } }
}
