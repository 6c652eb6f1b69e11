import EventSourcing
import Hummingbird
import HummingbirdTesting
import Logging
import Testing

@testable import PaymentProvider

/// A provider under test, spoken to in JSON.
struct ProviderClient: Sendable {
  struct Answer: Sendable {
    var status: Int
    var headers: HTTPFields
    var fields: Fields

    subscript(key: String) -> Value? { fields[key] }
    var isRepeated: Bool { headers[.idempotentReplayed] == "true" }
  }

  let client: any TestClientProtocol

  func post(_ path: String, key: String? = nil, _ body: String = "") async throws -> Answer {
    try await send(.post, path, key: key, body)
  }

  func get(_ path: String) async throws -> Answer { try await send(.get, path, key: nil, "") }

  func put(_ path: String, _ body: String) async throws -> Answer {
    try await send(.put, path, key: nil, body)
  }

  func send(
    _ method: HTTPRequest.Method, _ path: String, key: String?, _ body: String
  ) async throws -> Answer {
    var headers = HTTPFields()
    headers[.idempotencyKey] = key
    let response = try await client.execute(
      uri: path, method: method, headers: headers,
      body: body.isEmpty ? nil : ByteBuffer(string: body))
    let bytes = Array(response.body.readableBytesView)
    let value = bytes.isEmpty ? .object([:]) : try JSONReader.value(from: bytes)
    return Answer(
      status: response.status.code, headers: response.headers,
      fields: try #require(value.objectValue))
  }

  /// Charges 199.99 CAD to order_1.
  func charge(_ key: String, method: String = "card", amount: String = "199.99") async throws
    -> Answer
  {
    try await post(
      "/charges", key: key,
      """
      {"order_id":"order_1","user_id":7,"amount":\(amount),"currency":"CAD",\
      "payment_method":"\(method)"}
      """)
  }

  func refund(_ chargeKey: String, key: String) async throws -> Answer {
    try await post("/charges/refund", key: key, #"{"charge_key":"\#(chargeKey)"}"#)
  }

  /// Makes a payment of 20 CAD and answers its id.
  func pay(key: String? = nil, extra: String = "") async throws -> String {
    let made = try await post(
      "/payments", key: key, #"{"user_id":7,"order_id":42,"total_amount":20\#(extra)}"#)
    #expect(made.status == 201)
    return try #require(made["payment_id"]?.stringValue)
  }

  func process(_ id: String, number: String, expires: String = "12/39") async throws -> Answer {
    try await post(
      "/payments/process/\(id)",
      #"{"cardNumber":"\#(number)","cardCode":"123","expirationDate":"\#(expires)"}"#)
  }
}

extension PaymentProviderConfiguration {
  /// Waits that tests can afford.
  static func testing(
    _ change: (inout PaymentProviderConfiguration) -> Void = { _ in }
  ) -> PaymentProviderConfiguration {
    var configuration = PaymentProviderConfiguration(host: "127.0.0.1", port: 0)
    configuration.slowAnswerMilliseconds = 50
    configuration.heldConnectionMilliseconds = 50
    change(&configuration)
    return configuration
  }
}

/// Runs a provider for the length of `body`.
func withProvider(
  _ configuration: PaymentProviderConfiguration = .testing(),
  ledger: any PaymentLedger = InMemoryLedger(), over setup: TestingSetup = .router,
  _ body: @Sendable (ProviderClient) async throws -> Void
) async throws {
  let server = PaymentProviderServer(
    configuration: configuration, ledger: ledger,
    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  try await server.application().test(setup) { try await body(ProviderClient(client: $0)) }
}
