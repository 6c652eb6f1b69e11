import EventSourcing

extension Shop {
  /// Places an order at the catalogue's names and prices of this moment. The order's id is made of
  /// the command's id.
  /// - Throws: ``ShopRejection``, ``OrderRejection``.
  public func placeOrder(
    _ order: PlaceOrder, context: CommitContext
  ) async throws -> OrderPlaced {
    try Self.checked { () throws(FieldError) in try order.check() }
    let id = OrderID(context.commandID)
    let saga = order.saga ?? defaultSaga
    let context = context.marked(saga)
    let reads = Reads(customer: order.userID, products: order.items.map(\.product))
    let receipt = try await onFreshReads(of: reads, context: context) {
      let (new, reads) = try await priced(order, as: id, by: saga, at: context.timestamp)
      return Receipt(
        try await orders.handle(
          .initiate(new), on: id.text, context: context, expected: .noStream, reads: reads))
    }
    return try OrderPlaced(receipt, commandID: context.commandID)
  }

  /// Asks for an order to be undone: the saga does it. Twice is the same as once.
  /// - Returns: the order's status, `cancelling` or `cancelled`.
  /// - Throws: ``ShopRejection/unknownOrder(_:)``.
  public func cancelOrder(
    _ id: OrderID, reason: String, context: CommitContext
  ) async throws -> (status: String, receipt: Receipt) {
    try Self.checked { () throws(FieldError) in
      try FieldError.check("reason", reason, lengthMax: 500)
    }
    let context = context.marked(try await saga(of: id))
    let receipt = try await handle(.requestCancellation(reason: reason), on: id, context)
    if receipt.commit != nil { return (OrderStatus.cancelling.rawValue, receipt) }
    let status = try await orders.state(of: id.text).state.status ?? .cancelling
    return (status.rawValue, receipt)
  }

  /// The order is paid for. An order whose cancellation was asked for is confirmed all the same,
  /// and stays `cancelling`: its saga undoes it.
  /// - Throws: ``ShopRejection/unknownOrder(_:)``, ``OrderRejection/alreadyCancelled``.
  @discardableResult
  public func confirmOrder(_ id: OrderID, context: CommitContext) async throws -> Receipt {
    try await handle(.confirm, on: id, context)
  }

  /// The end of the order, after everything was undone. Never refused for a known order.
  /// - Throws: ``ShopRejection/unknownOrder(_:)``.
  @discardableResult
  public func cancelOrderFinally(
    _ id: OrderID, reason: String, code: String, context: CommitContext
  ) async throws -> Receipt {
    try await handle(.cancel(reason: reason, code: code), on: id, context)
  }

  /// Who carries an order out; that never changes.
  /// - Throws: ``ShopRejection/unknownOrder(_:)``.
  private func saga(of id: OrderID) async throws -> OrderSaga {
    guard let order = try await orders.state(of: id.text).state.initiated else {
      throw ShopRejection.unknownOrder(id)
    }
    return order.carriedOutBy ?? .orchestrated
  }

  private func handle(
    _ command: OrderCommand, on id: OrderID, _ context: CommitContext
  ) async throws -> Receipt {
    do {
      return Receipt(try await orders.handle(command, on: id.text, context: context))
    } catch OrderRejection.unknown {
      throw ShopRejection.unknownOrder(id)
    }
  }

  /// The order with what the customer's record and the catalogue say, and the versions of both
  /// that the order is good for.
  private func priced(
    _ order: PlaceOrder, as id: OrderID, by saga: OrderSaga, at time: Timestamp
  ) async throws -> (NewOrder, reads: [StreamName: ExpectedVersion]) {
    var reads: [StreamName: ExpectedVersion] = [:]
    reads.reserveCapacity(order.items.count + 1)

    let (customer, customerVersion) = try await customers.state(of: order.userID.text)
    guard let customer = customer.details else {
      throw ShopRejection.unknownCustomer(order.userID)
    }
    reads[Customers.stream(order.userID.text)] = .exactly(customerVersion)

    var expected = try Self.checked { () throws(FieldError) in try order.requestedCurrency() }
    var lines: [NewOrder.Line] = []
    lines.reserveCapacity(order.items.count)
    for item in order.items {
      let (product, version) = try await self.product(item.product)
      guard !product.isRetired, let details = product.details else {
        throw ShopRejection.retiredProduct(item.product)
      }
      let currency = details.unitPrice.currency
      if let expected, currency != expected {
        throw ShopRejection.currencyMismatch(expected: currency, got: expected)
      }
      expected = currency
      reads[Products.stream(item.product.text)] = .exactly(version)
      lines.append(
        NewOrder.Line(
          productID: item.product, productName: details.name, quantity: item.quantity,
          unitPrice: details.unitPrice))
    }
    let new = NewOrder(
      orderID: id, customer: customer, lines: lines,
      paymentMethod: order.paymentMethod ?? "card", saga: saga.rawValue,
      storeID: order.storeID, shippingAddress: order.shippingAddress, initiatedAt: time)
    return (new, reads)
  }
}
