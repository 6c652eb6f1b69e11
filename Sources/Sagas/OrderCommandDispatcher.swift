import Commerce
import EventSourcing

/// Sends the commands of ``OrderFulfilment`` through the shop's front door.
///
/// A command that leaves no event because its work was done already, or because there was nothing
/// to undo, is answered with the refusal ``OrderFulfilment/nothingToDo``: no event will come, and a
/// saga must not wait for one.
public struct OrderCommandDispatcher: CommandDispatcher {
  private let shop: Shop
  private let now: @Sendable () -> Timestamp

  public init(shop: Shop, now: @escaping @Sendable () -> Timestamp = { .now }) {
    self.shop = shop
    self.now = now
  }

  public var isAppending: Bool { true }

  /// - Throws: ``CommandRefused`` for what the domain rejects; all else, such as
  ///   ``AppendConflict``, as it comes: the command is to be sent again.
  public func dispatch(_ command: OutgoingCommand, causation: CommandCause) async throws {
    let context = CommitContext(
      commandID: command.commandID, correlationID: causation.correlationID,
      causationID: causation.eventID, timestamp: now(), serviceName: "sagas",
      metadata: causation.metadata)
    let receipt: Shop.Receipt
    CrashPoint.pass("before \(command.name)")
    defer { CrashPoint.pass("after \(command.name)") }
    do {
      receipt = try await send(command, context)
    } catch  where Self.isFinal(error) {
      if try await wasDoneEarlier(command) { return }
      throw CommandRefused(reason: "\(error)")
    }
    guard receipt.commit == nil else { return }
    if try await wasDoneEarlier(command) { return }
    throw CommandRefused(reason: OrderFulfilment.nothingToDo)
  }

  /// Whether a program whose command ids did not sort by time has sent it with success: its event
  /// is there, or will come, and answers.
  private func wasDoneEarlier(_ command: OutgoingCommand) async throws -> Bool {
    for id in CommandID.all(ofEffect: command.effectID) where id != command.commandID {
      if try await shop.hasDone(id) { return true }
    }
    return false
  }

  private func send(
    _ command: OutgoingCommand, _ context: CommitContext
  ) async throws -> Shop.Receipt {
    let payload = command.payload
    let order = try payload.orderID()
    switch OrderFulfilment.effect(named: command.name) {
    case (.reserve, .forward)?:
      return try await shop.reserveStock(
        order: order, lines: try payload.orderLines(),
        store: try payload.integerIfPresent("store_id"),
        expiresAt: try payload.timestampIfPresent("expires_at"), context: context)
    case (.hold, .forward)?:
      return try await shop.extendHold(
        order: order, products: try payload.productIDs("products"),
        until: try payload.timestamp("until"), context: context)
    case (.pay, .forward)?:
      return try await shop.takePayment(
        order: order, user: try payload.customerID(), amount: try payload.money("amount"),
        method: try payload.string("payment_method"), effectID: command.effectID,
        deadline: try payload.timestampIfPresent("deadline"), context: context)
    case (.confirm, .forward)?:
      return try await shop.confirmOrder(order, context: context)
    case (.notify, .forward)?:
      return try await shop.requestNotification(
        order: order, user: try payload.customerID(), recipient: try payload.string("recipient"),
        subject: try payload.string("subject"), context: context)
    case (.pay, .undo)?:
      return try await shop.requestRefund(
        order: order, effectID: command.effectID, reason: try payload.string("reason"),
        context: context)
    case (.reserve, .undo)?:
      return try await shop.releaseStock(
        order: order, products: try payload.productIDs("products"),
        reason: try payload.string("reason"), barring: true, context: context)
    case (.place, .undo)?:
      return try await shop.cancelOrderFinally(
        order, reason: try payload.string("reason"), code: try payload.string("code"),
        context: context)
    case (.place, .forward)?, (.hold, .undo)?, (.confirm, .undo)?, (.notify, .undo)?, nil:
      throw FieldError("name", .invalid("\(command.name) is no command of this saga"))
    }
  }

  /// Whether sending the same command again can only fail again.
  private static func isFinal(_ error: any Error) -> Bool {
    switch error {
    case is ShopRejection, is OrderRejection, is StockRejection, is PaymentRejection,
      is NotificationRejection, is FieldError, AppendFailure.invalid:
      true
    default: false
    }
  }
}

extension Fields {
  fileprivate func orderLines() throws -> [OrderLine] {
    try objects("lines") { (product: try $0.productID(), quantity: try $0.integer("quantity")) }
  }

  fileprivate func productIDs(_ key: String) throws(FieldError) -> [ProductID] {
    var products: [ProductID] = []
    for value in try array(key) {
      guard let number = value.integerValue, ProductID.range.contains(number) else {
        throw FieldError(key, .invalid("must hold numbers of products"))
      }
      products.append(ProductID(number))
    }
    return products
  }
}
