import EventSourcing

/// Expired holds.
///
/// A hold whose time is over stays where it is until somebody else is short of these pieces. Then it
/// is freed together with a tombstone in the payment of its order, in one commit that expects this
/// payment not to have begun: who has begun to pay keeps his hold, and who has lost it cannot pay
/// any more.
extension Shop {
  /// Holds what the order holds of these products until `until` at least; nothing to change: no
  /// event.
  /// - Throws: ``StockRejection/notHeld(_:)`` when the order does not hold some of each, or when its
  ///   hold has expired at the context's timestamp.
  @discardableResult
  public func extendHold(
    order: OrderID, products: [ProductID], until: Timestamp, context: CommitContext
  ) async throws -> Receipt {
    Receipt(
      try await inventory.transact(on: Self.ids(products), context: context) {
        try Inventory.extendHold(
          order: order, products: products, until: until, now: context.timestamp, states: $0)
      })
  }

  /// How often the holds of a reservation's products are looked through, each time at most
  /// ``Inventory/expiredHoldersMax`` of each product.
  private static let looksMax = 16

  /// What a reservation is short of, thrown instead of an answer.
  struct HoldsExpired: Error {
    var shortages: [Shortage]

    /// - Throws: itself, when expired holds could help at `now`.
    static func check(
      order: OrderID, lines: [OrderLine], store: Int64?, now: Timestamp, states: [String: Stock]
    ) throws {
      let shortages = Inventory.shortages(
        order: order, lines: lines, store: store, now: now, states: states)
      if !shortages.isEmpty { throw HoldsExpired(shortages: shortages) }
    }
  }

  /// Runs `reserve`, and again each time that expired holds were freed for it. The last time it must
  /// answer, short or not.
  func freeingExpiredHolds(
    context: CommitContext, reserve: (_ mustAnswer: Bool) async throws -> Receipt
  ) async throws -> Receipt {
    for _ in 0..<Self.looksMax {
      do {
        return try await reserve(false)
      } catch let expired as HoldsExpired {
        let products = expired.shortages.map(\.product)
        for shortage in expired.shortages {
          try await free(shortage, others: products, context: context)
        }
      }
    }
    return try await reserve(true)
  }

  /// Secures the holds of those who have begun to pay, so that nobody looks at them again; of the
  /// others as many are freed as are missing.
  private func free(
    _ shortage: Shortage, others: [ProductID], context: CommitContext
  ) async throws {
    let begun = try await paymentsBegun(of: shortage.holders.map(\.order))
    try await secure(begun, of: shortage.product, context: context)
    var missing = shortage.missing
    for holder in shortage.holders where missing > 0 && !begun.contains(holder.order) {
      if try await free(holder.order, short: others, context: context) {
        missing -= holder.quantity
      }
    }
  }

  private func paymentsBegun(of orders: [OrderID]) async throws -> Set<OrderID> {
    try await withThrowingTaskGroup(of: OrderID?.self) { group in
      for order in orders {
        group.addTask {
          try await payments.state(of: order.paymentID.text).state.initiated == nil ? nil : order
        }
      }
      return try await group.reduce(into: []) { begun, order in
        if let order { begun.insert(order) }
      }
    }
  }

  private func secure(
    _ orders: Set<OrderID>, of product: ProductID, context: CommitContext
  ) async throws {
    guard let first = orders.min() else { return }
    let name = "\(first)/hold/secured/\(product)/\(context.commandID)"
    try await inventory.transact(
      on: [product.text], context: context.for(order: nil, doing: name)
    ) { states in
      let state = states[product.text] ?? Inventory.initial
      let events = try orders.sorted().flatMap { order in
        try Inventory.decide(.secureHold(order: order), state)
      }
      return [(product.text, events)]
    }
  }

  /// Frees all that an order holds and that has expired, of the products that somebody is short of
  /// and of its own. False when its payment has begun meanwhile.
  private func free(
    _ order: OrderID, short: [ProductID], context: CommitContext
  ) async throws -> Bool {
    let payment = order.paymentID.text
    let stream = Payments.stream(payment)
    let (state, version) = try await payments.state(of: payment)
    guard state.initiated == nil else { return false }
    let lines = try await orders.state(of: order.text).state.initiated?.items ?? []
    let products = Set(short).union(lines.map(\.productID)).sorted()
    // Once the payment is void, there may still be holds that it was void without.
    let name = state.isBarred ? "again/\(context.commandID)" : "expired"
    let tombstone = PaymentEvent.voided(PaymentVoided(orderID: order))
    defer { payments.forget([payment]) }
    do {
      try await inventory.transact(
        on: Self.ids(products), context: context.for(order: order, doing: "\(order)/hold/\(name)"),
        reads: [stream: version == .none ? .noStream : .exactly(version)],
        alongside: state.isBarred ? [] : [ProposedEvent(tombstone, in: stream)]
      ) { states in
        try Inventory.decide(
          .freeExpired(order: order, now: context.timestamp), on: products, states)
      }
      return true
    } catch let conflict as AppendConflict where conflict.stream == stream {
      return false
    }
  }
}

extension CommitContext {
  /// For what is done to the holds of other orders on the way; it belongs to the history of `order`.
  fileprivate func `for`(order: OrderID?, doing name: String) -> CommitContext {
    CommitContext(
      commandID: CommandID(derivedFrom: name),
      correlationID: order.flatMap { CommandID(String($0.key))?.uuid } ?? correlationID,
      causationID: commandID.uuid, timestamp: timestamp, serviceName: serviceName)
  }
}
