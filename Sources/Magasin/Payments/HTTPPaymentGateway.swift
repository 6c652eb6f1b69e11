import AsyncHTTPClient
import Commerce
import EventSourcing
import Foundation
import NIOCore
import NIOPosix
import Sagas
import ServiceLifecycle

/// The payment provider over HTTP: `POST /charges` and `POST /charges/refund`, with the effect id as
/// idempotency key.
///
/// One call is one attempt; the reactor repeats. Also a `Service`, which closes the connections when
/// the process shuts down: start it before what uses it.
struct HTTPPaymentGateway: PaymentGateway, Service {
  private let client: HTTPClient
  private let baseURL: String
  private let attemptTimeout: Duration

  /// - Parameters:
  ///   - baseURL: as in `http://127.0.0.1:8001`, with or without a slash at its end.
  ///   - connectTimeoutMilliseconds: shorter than an attempt, so that a provider that cannot be
  ///     reached is known not to have been asked.
  ///   - attemptTimeoutMilliseconds: from the call to the last byte of the answer.
  ///   - connectionsMax: charges under way at once; more wait for a connection.
  init(
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
  func run() async throws {
    try? await gracefulShutdown()
    try await client.shutdown()
  }

  func charge(_ request: ChargeRequest) async throws(PaymentGatewayError) -> ChargeOutcome {
    let body: Fields = [
      "order_id": .string(request.orderID.text), "user_id": .integer(request.userID.rawValue),
      "amount": request.amount.value, "currency": .string(request.amount.currency.code),
      "payment_method": .string(request.paymentMethod),
    ]
    return try await post("/charges", key: request.effectID, body).chargeOutcome()
  }

  /// The provider gives back what it took, all of it: `amount` is not sent.
  func refund(
    effectID: String, refundEffectID: String, amount: Money
  ) async throws(PaymentGatewayError) -> RefundOutcome {
    try await post("/charges/refund", key: refundEffectID, ["charge_key": .string(effectID)])
      .refundOutcome()
  }

  private func post(
    _ path: String, key: String, _ body: Fields
  ) async throws(PaymentGatewayError) -> ProviderAnswer {
    do {
      return try await withThrowingTaskGroup(of: ProviderAnswer.self) { group in
        group.addTask { try await send(path, key: key, body) }
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

  private func send(_ path: String, key: String, _ body: Fields) async throws -> ProviderAnswer {
    var request = HTTPClientRequest(url: baseURL + path)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "Idempotency-Key", value: key)
    request.body = .bytes(JSONWriter.bytes(.object(body)))
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
