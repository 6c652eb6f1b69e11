import EventSourcing

/// The answer to ``PlaceOrder``, always read from what the log holds: a repeated command gets the
/// same one.
public struct OrderPlaced: Sendable {
  public var orderID: OrderID
  public var status: String
  public var total: Money
  public var receipt: Shop.Receipt

  /// - Throws: ``CommandIDReused`` when the commit was another kind of command's.
  init(_ receipt: Shop.Receipt, commandID: CommandID) throws {
    guard let event = receipt.commit?.events.first(where: { $0.type == OrderInitiated.type })
    else { throw CommandIDReused(commandID: commandID) }
    let data = try Orders.currentData(of: event)
    orderID = try data.orderID()
    total = try data.money("total_amount")
    status = OrderStatus.initiated.rawValue
    self.receipt = receipt
  }
}
