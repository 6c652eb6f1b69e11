import AsyncHTTPClient
import Commerce
import EventSourcing
import Foundation
import NIOCore
import NIOPosix
import Sagas
import ServiceLifecycle

/// The payment provider over HTTP: `POST /charges` and `POST /charges/refund` with the effect id as
/// idempotency key, `GET /charges?key=` to ask what became of one.
///
/// One call is one attempt; the reactor repeats. Also a `Service`, which closes the connections when
/// the process shuts down: start it before what uses it.
public struct HTTPPaymentGateway: PaymentGateway, Service {
  private let client: HTTPClient
  private let baseURL: String
  private let attemptTimeout: Duration

  /// - Parameters:
  ///   - baseURL: as in `http://127.0.0.1:8001`, with or without a slash at its end.
  ///   - connectTimeoutMilliseconds: shorter than an attempt, so that a provider that cannot be
  ///     reached is known not to have been asked.
  ///   - attemptTimeoutMilliseconds: from the call to the last byte of the answer.
  ///   - connectionsMax: charges under way at once; more wait for a connection.
  public init(
    baseURL: String, connectTimeoutMilliseconds: Int64 = 2_000,
    attemptTimeoutMilliseconds: Int64 = 5_000, connectionsMax: Int = 64
  ) {
    var configuration = HTTPClient.Configuration()
    // A redirected POST would arrive as a GET.
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .milliseconds(connectTimeoutMilliseconds)
    configuration.httpVersion = .http1Only
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsMax
    // The reactor repeats with a backoff of its own, and wants to know that nothing was sent.
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    self.baseURL = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
    attemptTimeout = .milliseconds(attemptTimeoutMilliseconds)
  }

  /// Waits for shutdown, then closes the connections. Call it once.
  public func run() async throws {
    try? await gracefulShutdown()
    try await client.shutdown()
  }

  public func charge(
    _ request: ChargeRequest
  ) async throws(PaymentGatewayError) -> ChargeOutcome {
    let body: Fields = [
      "order_id": .string(request.orderID.text), "user_id": .integer(request.userID.rawValue),
      "amount": request.amount.value, "currency": .string(request.amount.currency.code),
      "payment_method": .string(request.paymentMethod),
    ]
    return try await post("/charges", key: request.effectID, body).chargeOutcome()
  }

  /// The provider gives back what it took, all of it: `amount` is not sent.
  public func refund(
    effectID: String, refundEffectID: String, amount: Money
  ) async throws(PaymentGatewayError) -> RefundOutcome {
    try await post("/charges/refund", key: refundEffectID, ["charge_key": .string(effectID)])
      .refundOutcome()
  }

  public func outcome(
    of effectID: String
  ) async throws(PaymentGatewayError) -> ChargeOutcome? {
    var request = HTTPClientRequest(url: baseURL + "/charges?key=" + Self.queryValue(effectID))
    request.method = .GET
    return try await answer(to: request).knownOutcome()
  }

  /// Everything but letters, digits, `-`, `.`, `_` and `~` as `%2F`.
  private static func queryValue(_ text: String) -> String {
    text.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        String(UnicodeScalar(byte))
      default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }.joined()
  }

  private func post(
    _ path: String, key: String, _ body: Fields
  ) async throws(PaymentGatewayError) -> ProviderAnswer {
    var request = HTTPClientRequest(url: baseURL + path)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "Idempotency-Key", value: key)
    request.body = .bytes(JSONWriter.bytes(.object(body)))
    return try await answer(to: request)
  }

  private func answer(
    to request: HTTPClientRequest
  ) async throws(PaymentGatewayError) -> ProviderAnswer {
    do {
      return try await withThrowingTaskGroup(of: ProviderAnswer.self) { group in
        group.addTask { try await send(request) }
        group.addTask {
          try await Task.sleep(for: attemptTimeout)
          throw PaymentGatewayError.unknown("no answer within \(attemptTimeout)")
        }
        defer { group.cancelAll() }
        guard let answer = try await group.next() else {
          throw PaymentGatewayError.unknown("no answer")
        }
        return answer
      }
    } catch {
      throw PaymentGatewayError(sending: error)
    }
  }

  private func send(_ request: HTTPClientRequest) async throws -> ProviderAnswer {
    // The group above is the deadline; this one only has to be later.
    let response = try await client.execute(request, timeout: .minutes(1))
    let bytes = try await response.body.collect(upTo: 64 * 1024)
    return ProviderAnswer(status: Int(response.status.code), bytes: Array(bytes.readableBytesView))
  }
}

extension PaymentGatewayError {
  /// Only what failed before there was a connection is certain not to have been sent.
  fileprivate init(sending error: any Error) {
    switch error {
    case let error as PaymentGatewayError: self = error
    case let error as NIOConnectionError:
      self = .notSent("cannot connect to \(error.host):\(error.port)")
    case let error as IOError where [ECONNREFUSED, EADDRNOTAVAIL].contains(error.errnoCode):
      // What connecting to an address without a name answers; no open connection ends like this.
      self = .notSent("\(error)")
    case let error as HTTPClientError
    where error == .connectTimeout || error == .getConnectionFromPoolTimeout
      || error == .tlsHandshakeTimeout:
      self = .notSent("\(error)")
    default: self = .unknown("\(error)")
    }
  }
}
