import EventSourcing
import Hummingbird
import ServiceLifecycle

/// `/payments`: a payment is made, then processed with a card or a method, then perhaps refunded.
struct PaymentRoutes: Sendable {
  let cashier: Cashier

  func add(to router: Router<ProviderContext>) {
    let latency = LatencyMiddleware(simulator: cashier.simulator)
    router.group("payments")
      .add(middleware: latency)
      .post(use: create)
      .post("process/{id}", use: process)
      .post("{id}/refund", use: refund)
      .get("{id}", use: show)
      .get(use: list)
  }

  @Sendable private func create(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    let fields = try await request.fields(known: PaymentTerms.paymentFields)
    let receipt = try await cashier.create(
      try PaymentTerms(payment: fields), key: try request.idempotencyKey())
    var response = Response.made(
      ["payment_id": .string(receipt.payment.id)], isRepeated: receipt.isRepeated)
    response.headers[.location] = "/payments/\(receipt.payment.id)"
    return response
  }

  @Sendable private func process(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    let fields = try await request.fields(known: Instrument.fields)
    let payment = try await cashier.find(try context.parameters.require("id"))
    let instrument = try Instrument(fields, agreed: payment.terms?.method)
    let receipt = try await cashier.process(id: payment.id, with: instrument)
    return .json(receipt.payment.processingAnswer)
  }

  @Sendable private func refund(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    _ = try await request.fields(known: [])
    let receipt = try await cashier.refund(
      id: try context.parameters.require("id"), key: try request.idempotencyKey())
    return .json(receipt.payment.refundAnswer)
  }

  @Sendable private func show(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    .json(try await cashier.find(try context.parameters.require("id")).json)
  }

  @Sendable private func list(_ request: Request, _ context: ProviderContext) async throws
    -> Response
  {
    let query = try PaymentQuery(request)
    // One more than asked for tells whether there is a next page.
    var wider = query
    wider.limit += 1
    let found = try await cashier.ledger.payments(wider)
    let page = found.prefix(query.limit)
    let hasMore = found.count > query.limit
    return .json([
      "payments": .array(page.map { .object($0.json) }), "count": .integer(Int64(page.count)),
      "next_cursor": hasMore ? page.last.map { .string($0.id) } ?? .null : .null,
    ])
  }
}

extension PaymentQuery {
  private static let limitAllowed = 1...200

  /// Reads `?order_id=&limit=&cursor=`. Throws ``FieldError``.
  init(_ request: Request) throws(FieldError) {
    self.init()
    for (key, value) in request.uri.queryParameters {
      switch key {
      case "order_id":
        order = try Self.name(value, key: "order_id")
      case "cursor":
        before = try Self.name(value, key: "cursor")
      case "limit":
        guard let limit = Int(value), Self.limitAllowed.contains(limit) else {
          throw FieldError("limit", .invalid("must be 1 to \(Self.limitAllowed.upperBound)"))
        }
        self.limit = limit
      default:
        throw FieldError(String(key), .unknown)
      }
    }
  }

  private static func name(_ value: Substring, key: String) throws(FieldError) -> String {
    guard StreamName.isLegal(value) else {
      throw FieldError(key, .invalid("must be 1 to 64 letters, digits, '_' or '-'"))
    }
    return String(value)
  }
}

/// Makes every POST wait as long as the settings say, before anything is done.
struct LatencyMiddleware: RouterMiddleware {
  let simulator: Simulator

  func handle(
    _ request: Request, context: ProviderContext,
    next: (Request, ProviderContext) async throws -> Response
  ) async throws -> Response {
    let milliseconds = simulator.settings.latencyMilliseconds
    if request.method == .post, milliseconds > 0 {
      try await cancelWhenGracefulShutdown {
        try await Task.sleep(for: .milliseconds(milliseconds))
      }
    }
    return try await next(request, context)
  }
}
