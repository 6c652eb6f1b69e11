import EventSourcing

extension Shop {
  /// What a decision looks up in other aggregates before it is made.
  struct Reads: Sendable {
    var customer: CustomerID?
    var products: [ProductID] = []
    var order: OrderID?

    func contains(_ stream: StreamName) -> Bool {
      if let customer, Customers.stream(customer.text) == stream { return true }
      if let order, Orders.stream(order.text) == stream { return true }
      return products.contains { Products.stream($0.text) == stream }
    }
  }

  private static let looksMax = 20

  /// Runs `attempt` until what it read is still true when it lands.
  ///
  /// What was read may be a cached state that another process has moved on: an append that
  /// conflicts on such a stream is tried again on fresh reads, and a refusal is believed only on
  /// fresh reads. A command that was done already gets its recorded answer, whatever has become
  /// refusable since.
  func onFreshReads(
    of reads: Reads, context: CommitContext, attempt: () async throws -> Receipt
  ) async throws -> Receipt {
    var looks = 0
    var isFresh = false
    while true {
      looks += 1
      do {
        return try await attempt()
      } catch let conflict as AppendConflict where looks < Self.looksMax {
        guard reads.contains(conflict.stream) else { throw conflict }
        isFresh = true
        forget(reads)
      } catch let rejection where Self.dependsOnReads(rejection) {
        if let earlier = try await recorded(context) { return earlier }
        if isFresh { throw rejection }
        isFresh = true
        forget(reads)
      }
    }
  }

  private static func dependsOnReads(_ error: any Error) -> Bool {
    if case ShopRejection.invalid = error { return false }
    return error is ShopRejection || error is OrderRejection
  }

  /// - Throws: ``ShopRejection/unknownProduct(_:)``.
  func product(_ id: ProductID) async throws -> (state: Product, version: Version) {
    let product = try await products.state(of: id.text)
    guard product.state.details != nil else { throw ShopRejection.unknownProduct(id) }
    return product
  }

  /// Runs a check of a request; what it finds becomes ``ShopRejection/invalid(_:)``.
  static func checked<T>(_ check: () throws(FieldError) -> T) throws(ShopRejection) -> T {
    do {
      return try check()
    } catch {
      throw .invalid(error)
    }
  }

  /// Whether a command of that id has left an event.
  public func hasDone(_ command: CommandID) async throws -> Bool {
    try await log.commit(of: command) != nil
  }

  private func recorded(_ context: CommitContext) async throws -> Receipt? {
    guard let earlier = try await log.commit(of: context.commandID) else { return nil }
    if let old = earlier.header.context.fingerprint, let new = context.fingerprint, old != new {
      throw CommandIDReused(commandID: context.commandID)
    }
    return Receipt(commit: earlier, isRepeated: true)
  }

  private func forget(_ reads: Reads) {
    if let customer = reads.customer { customers.forget([customer.text]) }
    products.forget(reads.products.map(\.text))
    if let order = reads.order { orders.forget([order.text]) }
  }
}
