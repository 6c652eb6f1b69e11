import AsyncHTTPClient
import Commerce
import EventSourcing
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Sagas
import ServiceLifecycle

/// The payment provider over HTTP: `POST /charges` and `POST /charges/refund` with the effect id as
/// idempotency key, `GET /charges?key=` to ask what became of one.
///
/// One call is one attempt; the reactor repeats. Also a `Service`, which closes the connections when
/// the process shuts down: start it before what uses it.
public struct HTTPPaymentGateway: PaymentGateway, Service {
  private static let answerBytesMax = 64 * 1024

  private let client: HTTPClient
  private let baseURL: String
  private let attemptTimeout: TimeAmount

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
    try await answer(to: .GET, "/charges?key=" + Self.queryValue(effectID)).knownOutcome()
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
    try await answer(
      to: .POST, path,
      headers: ["Content-Type": "application/json", "Idempotency-Key": key],
      body: .byteBuffer(ByteBuffer(bytes: JSONWriter.bytes(.object(body)))))
  }

  private func answer(
    to method: HTTPMethod, _ path: String, headers: HTTPHeaders = [:],
    body: HTTPClient.Body? = nil
  ) async throws(PaymentGatewayError) -> ProviderAnswer {
    do {
      let request = try HTTPClient.Request(
        url: baseURL + path, method: method, headers: headers, body: body)
      return try await send(request)
    } catch {
      throw PaymentGatewayError(sending: error)
    }
  }

  /// On one event loop, if a connection of that loop is free, and the deadline on it as well:
  /// threads that wake one another at each step would cost more than the request.
  private func send(_ request: HTTPClient.Request) async throws -> ProviderAnswer {
    let loop = client.eventLoopGroup.next()
    let exchange = loop.submit { [client, attemptTimeout] in
      client.execute(
        request: request,
        delegate: ResponseAccumulator(request: request, maxBodySize: Self.answerBytesMax),
        eventLoop: .delegate(on: loop), deadline: .now() + attemptTimeout)
    }
    return try await withTaskCancellationHandler {
      let response = try await exchange.flatMap(\.futureResult).get()
      return ProviderAnswer(
        status: Int(response.status.code),
        bytes: response.body.map { Array($0.readableBytesView) } ?? [])
    } onCancel: {
      exchange.whenSuccess { $0.cancel() }
    }
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
    case let error as HTTPClientError where error == .deadlineExceeded:
      self = .unknown("no answer in time")
    default: self = .unknown("\(error)")
    }
  }
}
