import Commerce
import EventSourcing
import Hummingbird
import Projections

/// `/cqrs/queries/…`: the read models.
struct QueryRoutes {
  let queries: Queries

  /// Words that stand where an id could (`recent`, `low-stock`) win: the router tries them first.
  func register(on router: Router<APIContext>) {
    let base = router.group("/cqrs/queries")
    base.get("orders/recent", use: recentOrders)
    base.get("orders/status/{status}", use: ordersByStatus)
    base.get("orders/{order_id}", use: order)
    base.get("users/{user_id}/orders", use: ordersOfUser)
    base.get("users/{user_id}/summary", use: summaryOfUser)
    base.get("customers/top", use: topCustomers)
    base.get("inventory", use: inventory)
    base.get("inventory/low-stock", use: lowStock)
    base.get("inventory/{product_id}", use: product)
    base.get("statistics/orders", use: statistics)
  }

  // MARK: Orders

  @Sendable private func order(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let id = try context.orderID()
    if let past = try PastRequest.order(request) { return try await order(id, past, request) }
    let minimum = try RowRequest(request).minimum
    let answer = try await queries.orders.order(
      id, minimumPosition: minimum, waitMax: queries.waitMax)
    guard let row = try Queries.fresh(answer, minimum) else { throw Self.unknownOrder(id) }
    return QueryEnvelope(request: request).one(row, of: answer)
  }

  @Sendable private func recentOrders(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    if let (time, page) = try PastRequest.list(request) {
      let answer = try await queries.past.placed(
        by: time, limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax)
      return try Self.answer(answer, page, request)
    }
    let page = try PageRequest(request)
    return try Self.answer(
      try await queries.orders.recent(
        limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page, request)
  }

  @Sendable private func ordersByStatus(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    let status = try Self.status(context.parameters.get("status") ?? "")
    return try Self.answer(
      try await queries.orders.byStatus(
        status, limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page, request)
  }

  @Sendable private func ordersOfUser(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let user = try context.customerID()
    let status = try QueryParameters(request).string("status").map(Self.status)
    if let (time, page) = try PastRequest.list(request) {
      if status != nil { throw Self.pastByStatus }
      let answer = try await queries.past.placed(
        by: time, user: user, limit: page.limit, cursor: page.cursor,
        minimumPosition: page.minimum, waitMax: queries.waitMax)
      if answer.value.page.rows.isEmpty { try await requireKnown(user, page.minimum) }
      return try Self.answer(answer, page, request)
    }
    let page = try PageRequest(request)
    let answer = try await queries.orders.ofUser(
      user, status: status, limit: page.limit, cursor: page.cursor,
      minimumPosition: page.minimum, waitMax: queries.waitMax)
    if answer.value.rows.isEmpty { try await requireKnown(user, page.minimum) }
    return try Self.answer(answer, page, request)
  }

  /// An empty list of a customer who exists is an answer, one of nobody is not.
  private func requireKnown(_ user: CustomerID, _ minimum: Position?) async throws {
    let summary = try await queries.users.summary(
      of: user, minimumPosition: minimum, waitMax: queries.waitMax)
    if try Queries.fresh(summary, minimum) == nil { throw Self.unknownUser(user) }
  }

  /// The order as it was. Its version is looked up in the log, so the row must have come that far.
  private func order(
    _ id: OrderID, _ past: PastRequest, _ request: Request
  ) async throws -> Response {
    var minimum = try Queries.minimumPosition(request)
    let bound: OrderBound
    switch past {
    case .time(let time): bound = .time(time)
    case .version(let version):
      let position = try await queries.past.position(of: version, of: id)
      minimum = max(minimum ?? position, position)
      bound = .position(position)
    }
    let answer = try await queries.past.order(
      id, upTo: bound, minimumPosition: minimum, waitMax: queries.waitMax)
    guard let order = try Queries.fresh(answer, minimum) else { throw Self.unknownOrder(id) }
    return QueryEnvelope(request: request).one(order.json, of: answer, asOf: order.asOf)
  }

  @Sendable private func statistics(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let minimum = try RowRequest(request).minimum
    let parameters = QueryParameters(request)
    let first = try parameters.timestamp("start_date")
    let last = try parameters.timestamp("end_date")
    if let first, let last, last < first {
      throw FieldError("end_date", .invalid("must not be before start_date"))
    }
    let answer = try await queries.statistics.orders(
      from: first, to: last, minimumPosition: minimum, waitMax: queries.waitMax)
    return QueryEnvelope(request: request).one(try Queries.fresh(answer, minimum), of: answer)
  }

  // MARK: Customers

  @Sendable private func summaryOfUser(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let user = try context.customerID()
    let minimum = try RowRequest(request).minimum
    let answer = try await queries.users.summary(
      of: user, minimumPosition: minimum, waitMax: queries.waitMax)
    guard let row = try Queries.fresh(answer, minimum) else { throw Self.unknownUser(user) }
    return QueryEnvelope(request: request).one(row, of: answer)
  }

  @Sendable private func topCustomers(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    var currency = Currency.cad
    if let code = try QueryParameters(request).string("currency") {
      guard let known = Currency(code: code) else {
        throw FieldError("currency", .invalid("must be one of CAD, USD, EUR, JPY"))
      }
      currency = known
    }
    return try Self.answer(
      try await queries.users.top(
        limit: page.limit, cursor: page.cursor, currency: currency,
        minimumPosition: page.minimum, waitMax: queries.waitMax), page, request)
  }

  // MARK: Stock

  @Sendable private func inventory(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    return try Self.answer(
      try await queries.stock.all(
        limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page, request)
  }

  @Sendable private func lowStock(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    return try Self.answer(
      try await queries.stock.lowStock(
        limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page, request)
  }

  @Sendable private func product(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let number = try context.number("product_id")
    let minimum = try RowRequest(request).minimum
    let unknown = Problem(.notFound, "there is no product \(number)", field: "product_id")
    guard ProductID.range.contains(number) else { throw unknown }
    let answer = try await queries.stock.product(
      ProductID(number), minimumPosition: minimum, waitMax: queries.waitMax)
    guard let row = try Queries.fresh(answer, minimum) else { throw unknown }
    return QueryEnvelope(request: request).one(row, of: answer)
  }

  // MARK: Shared

  private static func answer(
    _ answer: QueryAnswer<QueryPage>, _ page: PageRequest, _ request: Request
  ) throws -> Response {
    QueryEnvelope(request: request).page(try Queries.fresh(answer, page.minimum), of: answer)
  }

  private static func answer(
    _ answer: QueryAnswer<PastOrders.Page>, _ page: PageRequest, _ request: Request
  ) throws -> Response {
    QueryEnvelope(request: request).page(try Queries.fresh(answer, page.minimum), of: answer)
  }

  private static let pastByStatus = Problem(
    .unsupported, "at is not taken here: orders are found by the status that they have now",
    field: "at")

  private static func status(_ text: String) throws(FieldError) -> OrderRow.Status {
    guard let status = OrderRow.Status(rawValue: text.lowercased()) else {
      let known = OrderRow.Status.allCases.map(\.rawValue).joined(separator: ", ")
      throw FieldError("status", .invalid("must be one of \(known)"))
    }
    return status
  }

  private static func unknownOrder(_ id: OrderID) -> Problem {
    Problem(.notFound, "there is no order \(id)", field: "order_id")
  }

  private static func unknownUser(_ user: CustomerID) -> Problem {
    Problem(.notFound, "there is no customer \(user)", field: "user_id")
  }
}

extension APIContext {
  /// A path parameter that is an integer.
  func number(_ name: String) throws(FieldError) -> Int64 {
    let text = parameters.get(name) ?? ""
    guard let number = Int64(text) else {
      throw FieldError(name, .wrongType(expected: "an integer", found: "\"\(text.prefix(40))\""))
    }
    return number
  }

  fileprivate func customerID() throws -> CustomerID {
    let number = try number("user_id")
    guard CustomerID.range.contains(number) else {
      throw Problem(.notFound, "there is no customer \(number)", field: "user_id")
    }
    return CustomerID(number)
  }
}
