import Commerce
import EventSourcing
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Projections
import Sagas

@testable import API

/// The real router on a log and read models in memory, with the real shop behind it and, unless
/// told otherwise, every projection running.
struct APIUnderTest {
  static let laptop = ProductID(101)
  static let mouse = ProductID(102)
  static let retired = ProductID(103)
  static let customer = CustomerID(456)

  let log = InMemoryLog()
  let store = InMemoryReadModels()
  let board = ProjectionBoard()
  let shop: Shop
  var services: MagasinAPI.Services

  init() {
    let shop = Shop(log: log)
    self.shop = shop
    let reader = ReadModelReader(store: store, board: board)
    let sagas = SagaQueries(reader: reader)
    services = MagasinAPI.Services(
      log: log, shop: shop, reader: reader,
      sagas: SagaOperations(log: log) { try await sagas.select($0, limit: $1) },
      openAPI: "openapi: 3.1.0\n")
  }

  /// A shop with a customer and three products, not served yet: change `services` first if need be.
  static func seeded() async throws -> APIUnderTest {
    let api = APIUnderTest()
    try await api.seed()
    return api
  }

  /// Seeds a shop and lets `body` talk to its router.
  static func run(
    projecting: Bool = true,
    _ body: @Sendable @escaping (APIUnderTest, APIClient) async throws -> Void
  ) async throws {
    try await seeded().run(projecting: projecting, body)
  }

  /// Starts the projections, unless they should stand still, and lets `body` talk to the router.
  func run(
    projecting: Bool = true,
    _ body: @Sendable @escaping (APIUnderTest, APIClient) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      if projecting {
        for projection in ReadModels.all { group.addTask { try await drive(projection) } }
      }
      let application = Application(
        router: MagasinAPI.router(services), logger: Self.quietLogger)
      try await application.test(.router) { client in
        try await body(self, APIClient(client: client))
      }
      group.cancelAll()
    }
  }

  private static var quietLogger: Logger {
    var logger = Logger(label: "api-tests")
    logger.logLevel = .critical
    return logger
  }

  func drive<P: Projection>(_ projection: P) async throws {
    try await ProjectionDriver(
      projection, reader: SharedReader(log), store: store, board: board,
      logger: Self.quietLogger
    ).run()
  }

  private func seed() async throws {
    try await shop.registerCustomer(
      Self.customer, name: "Ada", email: "ada@example.org", context: context())
    for (id, name, cents) in [
      (Self.laptop, "Laptop", Int64(19_999)), (Self.mouse, "Mouse", 2_500),
      (Self.retired, "Floppy disk", 100),
    ] {
      let product = ProductAdded(
        productID: id, name: name, sku: "SKU-\(id)",
        unitPrice: Money(minorUnits: cents, currency: .cad))
      try await shop.addProduct(product, context: context())
      try await shop.restock(id, quantity: 100, context: context())
    }
    try await shop.products.handle(.retire, on: Self.retired.text, context: context())
  }

  /// Writes the first event of an order's saga as the saga itself does.
  func startSaga(of order: OrderID) async throws -> Position {
    let command = OutgoingCommand(
      effectID: "\(order)/reserve/forward/1", name: "ReserveStock",
      payload: ["order_id": .string(order.text)])
    let event = ProposedEvent(
      stream: StreamName(category: "sagas", id: order.sagaID), type: "SagaStarted",
      data: [
        "saga_id": .string(order.sagaID), "order_id": .string(order.text),
        "definition": "order-fulfilment.v1", "state": "reserving",
        "input": ["type": "OrderInitiated"], "commands": [.object(command.fields)],
      ])
    return try await log.append(ProposedCommit(context: context(), events: [event])).position
  }

  func context() -> CommitContext {
    CommitContext(commandID: .random(), timestamp: .now, serviceName: "tests")
  }
}

/// Talks JSON to the router.
struct APIClient: Sendable {
  let client: any TestClientProtocol

  func get(_ path: String, headers: HTTPFields = [:]) async throws -> APIAnswer {
    try await send(.get, path, headers: headers, body: nil)
  }

  func post(
    _ path: String, _ body: String, key: String? = nil, headers: HTTPFields = [:]
  ) async throws -> APIAnswer {
    var headers = headers
    headers[.contentType] = headers[.contentType] ?? "application/json"
    if let key { headers[.idempotencyKey] = key }
    return try await send(.post, path, headers: headers, body: body)
  }

  func send(
    _ method: HTTPRequest.Method, _ path: String, headers: HTTPFields = [:], body: String?
  ) async throws -> APIAnswer {
    let response = try await client.executeRequest(
      uri: path, method: method, headers: headers, body: body.map(ByteBuffer.init(string:)))
    return APIAnswer(response: response)
  }

  func placeOrder(quantity: Int = 1, key: String? = nil) async throws -> APIAnswer {
    try await post(
      "/cqrs/commands/orders", #"{"user_id":456,"product_id":101,"quantity":\#(quantity)}"#,
      key: key)
  }
}

struct APIAnswer: Sendable {
  let response: TestResponse

  var status: Int { response.status.code }
  var text: String { String(buffer: response.body) }

  /// The body, read by the strict reader.
  var json: Fields {
    get throws {
      try JSONReader.value(from: text).objectValue.orThrow("the body is no JSON object: \(text)")
    }
  }

  var data: Fields { get throws { try json.object("data") } }
  var rows: [Fields] { get throws { try json.objects("data") { $0 } } }
  var position: Int64? { response.headers[.magasinPosition].flatMap { Int64($0) } }
  var problem: String { get throws { try json.string("type") } }
  var field: String? { get throws { try json.stringIfPresent("field") } }
}

struct Missing: Error {
  var what: String
}

extension Optional {
  func orThrow(_ what: String) throws -> Wrapped {
    guard let self else { throw Missing(what: what) }
    return self
  }
}
