import Commerce
import EventSourcing
import Hummingbird
import Projections

/// `/saga/…`, `/start-saga`, `/sagas`: orders as sagas see them.
struct SagaRoutes {
  /// Starts sagas; nil in a process without commands.
  let placement: OrderPlacement?
  /// Shows them; nil in a process without queries.
  let queries: Queries?
  let serviceName: String

  func register(on router: Router<APIContext>) {
    if let placement {
      router.post("/saga/order") { try await placeOrder($0, $1, placement) }
      router.post("/start-saga") { try await startSaga($0, $1, placement) }
    }
    if let queries {
      router.get("/saga/order/{order_id}") { try await sagaOfOrder($0, $1, queries) }
      router.get("/saga/{saga_id}") { try await saga($0, $1, queries) }
      router.get("/sagas") { try await sagas($0, $1, queries) }
    }
  }

  // MARK: Starting

  /// The same as placing an order; the answer names the saga too.
  @Sendable private func placeOrder(
    _ request: Request, _ context: APIContext, _ placement: OrderPlacement
  ) async throws -> Response {
    let fields = try await StrictBody.fields(of: request, known: OrderBody.fieldNames)
    let body = try OrderBody(fields)
    let command = try CommandRequest(
      request, context, route: "POST /saga/order", body: fields, serviceName: serviceName)
    var accepted = try await placement.place(body, command)
    accepted.fields["saga_id"] = .string(accepted.orderID.sagaID)
    return try await placement.answer(accepted, request)
  }

  /// One product, in the words of the reference's orchestrator. Its `cart_id` is taken and not used.
  @Sendable private func startSaga(
    _ request: Request, _ context: APIContext, _ placement: OrderPlacement
  ) async throws -> Response {
    let fields = try await StrictBody.fields(
      of: request, known: ["customer_id", "product_id", "store_id", "quantity", "cart_id"])
    _ = try fields.integerIfPresent("cart_id")
    let body = try OrderBody(startSaga: fields)
    let command = try CommandRequest(
      request, context, route: "POST /start-saga", body: fields, serviceName: serviceName)
    let accepted = try await placement.place(body, command)
    return .json(
      [
        "saga_id": .string(accepted.orderID.sagaID),
        "order_id": .string(accepted.orderID.text), "status": "started",
        "current_state": "reserving", "message": "the order's saga is on its way",
        "created_at": .string(accepted.placedAt.iso8601),
      ], status: .accepted, position: accepted.position,
      headers: [.location: "/saga/\(accepted.orderID.sagaID)"])
  }

  // MARK: Showing

  @Sendable private func saga(
    _ request: Request, _ context: APIContext, _ queries: Queries
  ) async throws -> Response {
    let text = try context.identifier("saga_id")
    return try await saga(of: OrderID(ofSaga: text), request, queries) {
      Problem(.notFound, "there is no saga \(text)", field: "saga_id")
    }
  }

  @Sendable private func sagaOfOrder(
    _ request: Request, _ context: APIContext, _ queries: Queries
  ) async throws -> Response {
    let order = try context.orderID()
    return try await saga(of: order, request, queries) {
      Problem(.notFound, "there is no saga of order \(order)", field: "order_id")
    }
  }

  private func saga(
    of order: OrderID?, _ request: Request, _ queries: Queries, unknown: () -> Problem
  ) async throws -> Response {
    let minimum = try RowRequest(request).minimum
    guard let order else { throw unknown() }
    let conducted = try await queries.sagas.ofOrder(
      order, minimumPosition: minimum, waitMax: queries.waitMax)
    // An order has a saga or is choreographed, never both.
    var answer = conducted
    if conducted.value == nil {
      answer = try await queries.choreographies.ofOrder(
        order, minimumPosition: minimum, waitMax: queries.waitMax)
    }
    guard let row = try Queries.fresh(answer, minimum) else {
      _ = try Queries.fresh(conducted, minimum)
      throw unknown()
    }
    return QueryEnvelope(request: request).send(answer) {
      SagaAnswer.fields(of: row, isWhole: true)
    }
  }

  @Sendable private func sagas(
    _ request: Request, _ context: APIContext, _ queries: Queries
  ) async throws -> Response {
    let page = try PageRequest(request)
    let parameters = QueryParameters(request)
    let answer = try await queries.sagaLists.list(
      saga: try Self.saga(parameters), state: try parameters.identifier("state"),
      limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
      waitMax: queries.waitMax)
    let found = try Queries.fresh(answer, page.minimum)
    return QueryEnvelope(request: request).send(answer) {
      [
        "sagas": .array(found.rows.map { .object(SagaAnswer.fields(of: $0)) }),
        "count": .integer(Int64(found.rows.count)),
        "next_cursor": .optional(found.next?.token),
      ]
    }
  }
}

extension SagaRoutes {
  private static func saga(_ parameters: QueryParameters) throws(FieldError) -> OrderSaga? {
    guard let name = try parameters.string("saga") else { return nil }
    guard let saga = OrderSaga(rawValue: name) else {
      throw FieldError("saga", .invalid("must be orchestrated or choreographed"))
    }
    return saga
  }
}
