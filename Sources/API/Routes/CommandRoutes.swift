import Commerce
import EventSourcing
import HTTPTypes
import Hummingbird

/// `/cqrs/commands/…`: what people ask the shop to do.
struct CommandRoutes {
  let placement: OrderPlacement
  let log: any EventLog
  let serviceName: String

  private var shop: Shop { placement.shop }

  func register(on router: Router<APIContext>) {
    let base = router.group("/cqrs/commands")
    base.post("orders", use: placeOrder)
    base.post("orders/{order_id}/cancel", use: cancelOrder)
    base.post("payments", use: payOrder)
    base.post("inventory", use: changeStock)
  }

  @Sendable private func placeOrder(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let fields = try await StrictBody.fields(of: request, known: OrderBody.fieldNames)
    let body = try OrderBody(fields)
    let command = try CommandRequest(
      request, context, route: "POST /cqrs/commands/orders", body: fields,
      serviceName: serviceName)
    return try await placement.answer(try await placement.place(body, command), request)
  }

  @Sendable private func cancelOrder(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let id = try context.orderID()
    let fields = try await StrictBody.fields(of: request, known: ["reason"], mayBeEmpty: true)
    let reason = try fields.stringIfPresent("reason") ?? "cancelled by the customer"
    let command = try CommandRequest(
      request, context, route: "POST /cqrs/commands/orders/{order_id}/cancel",
      resource: id.text, body: fields, serviceName: serviceName)
    let status: String
    let receipt: Shop.Receipt
    do {
      (status, receipt) = try await shop.cancelOrder(
        id, reason: reason, context: command.context)
    } catch let rejection as ShopRejection {
      throw Problem(rejection) { _ in false }.inPath("order_id")
    }
    return try await cancellation(of: id, status, receipt, command, request)
  }

  /// 202 while the saga undoes the order; 200 when it is known to be undone.
  private func cancellation(
    of id: OrderID, _ status: String, _ receipt: Shop.Receipt, _ command: CommandRequest,
    _ request: Request
  ) async throws -> Response {
    var answer = CommandAnswer(
      commandID: command.commandID, message: "cancellation accepted",
      data: ["order_id": .string(id.text), "status": .string(status)],
      position: try await position(of: receipt), location: OrderPlacement.location(id))
    if let seconds = Preference.waitSeconds(request) {
      answer.waited = seconds
      let outcome = await placement.outcomes.wait(for: id, seconds: seconds)
      if case .cancelled(_, let position) = outcome {
        answer.status = .ok
        answer.message = "order cancelled"
        answer.data["status"] = .string(OrderStatus.cancelled.rawValue)
        answer.position = position
      }
    }
    return answer.response
  }

  @Sendable private func payOrder(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let fields = try await StrictBody.fields(
      of: request, known: ["order_id", "amount", "payment_method"])
    let id = try fields.givenOrderID()
    let amount = try fields.decimal("amount")
    guard amount.unscaled > 0 else {
      throw FieldError("amount", .invalid("must be greater than 0"))
    }
    guard let method = try fields.paymentMethodIfPresent() else {
      throw FieldError("payment_method", .missing)
    }
    let command = try CommandRequest(
      request, context, route: "POST /cqrs/commands/payments", body: fields,
      serviceName: serviceName)
    let (payment, receipt) = try await shop.payOrder(
      id, amount: amount, paymentMethod: method, context: command.context)
    return CommandAnswer(
      commandID: command.commandID, message: "payment accepted",
      data: [
        "payment_id": .string(payment.text), "order_id": .string(id.text),
        "status": .string(PaymentStatus.initiated.rawValue), "amount": .decimal(amount),
        "payment_method": .string(method),
      ],
      position: try await position(of: receipt), location: OrderPlacement.location(id)
    ).response
  }

  @Sendable private func changeStock(
    _ request: Request, _ context: APIContext
  ) async throws -> Response {
    let fields = try await StrictBody.fields(
      of: request,
      known: ["product_id", "quantity_change", "operation", "store_id", "order_id"])
    let change = try Self.stockChange(fields)
    let command = try CommandRequest(
      request, context, route: "POST /cqrs/commands/inventory", body: fields,
      serviceName: serviceName)
    let receipt = try await shop.changeStock(change, context: command.context)
    var data: Fields = [
      "product_id": change.product.value, "operation": .string(change.operation.rawValue),
      "quantity_change": .integer(change.quantityChange),
      "status": receipt.commit == nil ? "nothing_to_do" : "done",
    ]
    if let order = change.orderID { data["order_id"] = .string(order.text) }
    if let event = receipt.commit?.events.last {
      for name in ["available_quantity", "reserved_quantity"] { data[name] = event.data[name] }
    }
    return CommandAnswer(
      commandID: command.commandID, message: "stock changed", data: data,
      position: try await position(of: receipt),
      location: "/cqrs/queries/inventory/\(change.product)"
    ).response
  }

  private static func stockChange(_ fields: Fields) throws -> ChangeStock {
    let product = try fields.productID()
    let quantity = try fields.quantity("quantity_change", in: Inventory.quantityRange)
    let operation = try fields.string("operation")
    guard let operation = StockOperation(rawValue: operation) else {
      throw FieldError("operation", .invalid("must be reserve, release, deduct or restock"))
    }
    return ChangeStock(
      product: product, quantityChange: quantity, operation: operation,
      storeID: try fields.storeID(),
      orderID: try fields.stringIfPresent("order_id") == nil ? nil : try fields.givenOrderID())
  }

  /// Where a reader sees the command's effect; without one, all that there is.
  private func position(of receipt: Shop.Receipt) async throws -> Position {
    if let position = receipt.position { return position }
    return try await log.head()
  }
}

extension APIContext {
  /// The order that the path names, with or without `order_`.
  func orderID() throws -> OrderID {
    let text = try identifier("order_id")
    guard let id = OrderID(text) else {
      throw Problem(.notFound, "there is no order \(text)", field: "order_id")
    }
    return id
  }
}
