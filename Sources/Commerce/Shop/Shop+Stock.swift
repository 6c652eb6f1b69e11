import EventSourcing

extension Shop {
  /// Changes the stock of a product by hand.
  /// - Throws: ``ShopRejection``, ``StockRejection``.
  @discardableResult
  public func changeStock(
    _ change: ChangeStock, context: CommitContext
  ) async throws -> Receipt {
    try await onFreshReads(of: Reads(products: [change.product]), context: context) {
      let name = try await product(change.product).state.details?.name ?? ""
      let command = try Self.checked { () throws(FieldError) in
        try change.command(productName: name)
      }
      if case .reserve(let order, _, _, _, _) = command {
        return try await reserve(command, for: order, change, context)
      }
      return Receipt(
        try await inventory.handle(command, on: change.product.text, context: context))
    }
  }

  /// Adds pieces of a product. Its name is the catalogue's unless one is given.
  /// - Throws: ``ShopRejection/unknownProduct(_:)``, ``StockRejection/invalid(_:)``.
  @discardableResult
  public func restock(
    _ id: ProductID, quantity: Int64, location: Location = .depot, productName: String? = nil,
    reorderLevel: Int64? = nil, context: CommitContext
  ) async throws -> Receipt {
    try await onFreshReads(of: Reads(products: [id]), context: context) {
      let details = try await product(id).state.details
      let command = StockCommand.restock(
        product: id, quantity: quantity, location: location,
        productName: productName ?? details?.name, reorderLevel: reorderLevel)
      return Receipt(try await inventory.handle(command, on: id.text, context: context))
    }
  }

  /// Holds all lines of an order or none, see
  /// ``Inventory/reserve(order:lines:store:expiresAt:states:)``. Being short is no rejection: it
  /// leaves ``StockUnavailable``, unless holds that have expired at the context's timestamp can be
  /// freed.
  /// - Parameter expiresAt: when others who are short may have the pieces, as long as the order's
  ///   payment has not begun; nil: when they are released.
  /// - Throws: ``StockRejection/invalid(_:)``, ``StockRejection/barred(_:)``.
  @discardableResult
  public func reserveStock(
    order: OrderID, lines: [OrderLine], store: Int64? = nil, expiresAt: Timestamp? = nil,
    context: CommitContext
  ) async throws -> Receipt {
    for line in lines { try Inventory.check(line.quantity) }
    return try await freeingExpiredHolds(context: context) { mustAnswer in
      Receipt(
        try await inventory.transact(on: Self.ids(lines.map(\.product)), context: context) {
          let decisions = try Inventory.reserve(
            order: order, lines: lines, store: store, expiresAt: expiresAt, states: $0)
          if !mustAnswer, case .unavailable? = decisions.first?.events.first {
            try HoldsExpired.check(
              order: order, lines: lines, store: store, now: context.timestamp, states: $0)
          }
          return decisions
        })
    }
  }

  /// Frees whatever the order holds of these products; nothing held: no event.
  /// - Parameter barring: for an undo, which may overtake what it undoes: where the order holds
  ///   nothing, its reservation is refused from now on, and ``StockReservationBarred`` says so.
  @discardableResult
  public func releaseStock(
    order: OrderID, products: [ProductID], reason: String, barring: Bool = false,
    context: CommitContext
  ) async throws -> Receipt {
    Receipt(
      try await inventory.transact(on: Self.ids(products), context: context) {
        try Inventory.release(
          order: order, products: products, reason: reason, barring: barring, states: $0)
      })
  }

  private func reserve(
    _ command: StockCommand, for order: OrderID, _ change: ChangeStock, _ context: CommitContext
  ) async throws -> Receipt {
    let line = (product: change.product, quantity: change.quantityChange)
    return try await freeingExpiredHolds(context: context) { mustAnswer in
      Receipt(
        try await inventory.transact(on: [change.product.text], context: context) { states in
          do {
            return try Inventory.decide(command, on: [change.product], states)
          } catch let rejection as StockRejection {
            if !mustAnswer, case .insufficientStock = rejection {
              try HoldsExpired.check(
                order: order, lines: [line], store: change.storeID, now: context.timestamp,
                states: states)
            }
            throw rejection
          }
        })
    }
  }

  /// Stream ids, each once.
  static func ids(_ products: [ProductID]) -> [String] {
    Set(products).sorted().map(\.text)
  }
}
