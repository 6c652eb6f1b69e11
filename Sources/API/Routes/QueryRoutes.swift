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
    let minimum = try Queries.minimumPosition(request)
    let answer = try await queries.orders.order(
      id, minimumPosition: minimum, waitMax: queries.waitMax)
    guard let row = try Queries.fresh(answer, minimum) else {
      throw Problem(.notFound, "there is no order \(id)", field: "order_id")
    }
    return QueryEnvelope.one(row, at: answer.position)
  }

  @Sendable private func recentOrders(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    return try Self.answer(
      try await queries.orders.recent(
        limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page)
  }

  @Sendable private func ordersByStatus(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    let status = try Self.status(context.parameters.get("status") ?? "")
    return try Self.answer(
      try await queries.orders.byStatus(
        status, limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page)
  }

  @Sendable private func ordersOfUser(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    let user = try context.customerID()
    let status = try QueryParameters(request).string("status").map(Self.status)
    let answer = try await queries.orders.ofUser(
      user, status: status, limit: page.limit, cursor: page.cursor,
      minimumPosition: page.minimum, waitMax: queries.waitMax)
    let orders = try Queries.fresh(answer, page.minimum)
    if orders.rows.isEmpty {
      let summary = try await queries.users.summary(
        of: user, minimumPosition: page.minimum, waitMax: queries.waitMax)
      if summary.value == nil { throw Self.unknownUser(user) }
    }
    return QueryEnvelope.page(orders, at: answer.position)
  }

  @Sendable private func statistics(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let minimum = try Queries.minimumPosition(request)
    let parameters = QueryParameters(request)
    let first = try parameters.timestamp("start_date")
    let last = try parameters.timestamp("end_date")
    if let first, let last, last < first {
      throw FieldError("end_date", .invalid("must not be before start_date"))
    }
    let answer = try await queries.statistics.orders(
      from: first, to: last, minimumPosition: minimum, waitMax: queries.waitMax)
    return QueryEnvelope.one(try Queries.fresh(answer, minimum), at: answer.position)
  }

  // MARK: Customers

  @Sendable private func summaryOfUser(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let user = try context.customerID()
    let minimum = try Queries.minimumPosition(request)
    let answer = try await queries.users.summary(
      of: user, minimumPosition: minimum, waitMax: queries.waitMax)
    guard let row = try Queries.fresh(answer, minimum) else { throw Self.unknownUser(user) }
    return QueryEnvelope.one(row, at: answer.position)
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
        minimumPosition: page.minimum, waitMax: queries.waitMax), page)
  }

  // MARK: Stock

  @Sendable private func inventory(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    return try Self.answer(
      try await queries.stock.all(
        limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page)
  }

  @Sendable private func lowStock(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let page = try PageRequest(request)
    return try Self.answer(
      try await queries.stock.lowStock(
        limit: page.limit, cursor: page.cursor, minimumPosition: page.minimum,
        waitMax: queries.waitMax), page)
  }

  @Sendable private func product(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let number = try context.number("product_id")
    let minimum = try Queries.minimumPosition(request)
    let unknown = Problem(.notFound, "there is no product \(number)", field: "product_id")
    guard ProductID.range.contains(number) else { throw unknown }
    let answer = try await queries.stock.product(
      ProductID(number), minimumPosition: minimum, waitMax: queries.waitMax)
    guard let row = try Queries.fresh(answer, minimum) else { throw unknown }
    return QueryEnvelope.one(row, at: answer.position)
  }

  // MARK: Shared

  private static func answer(
    _ answer: QueryAnswer<QueryPage>, _ page: PageRequest
  ) throws -> Response {
    QueryEnvelope.page(try Queries.fresh(answer, page.minimum), at: answer.position)
  }

  private static func status(_ text: String) throws(FieldError) -> OrderRow.Status {
    guard let status = OrderRow.Status(rawValue: text.lowercased()) else {
      let known = OrderRow.Status.allCases.map(\.rawValue).joined(separator: ", ")
      throw FieldError("status", .invalid("must be one of \(known)"))
    }
    return status
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
