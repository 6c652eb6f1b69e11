import EventSourcing

/// The front door to the domain: people, sagas and reactors all come through here.
///
/// Every call is safe to repeat with the same command id: it has one effect and one answer. Besides
/// the rejections that each call names, all throw what ``CommandHandler`` throws:
/// ``AppendConflict`` when the aggregate is too busy, ``CommandIDReused``, ``AppendFailure``. A
/// rejection leaves no event.
public struct Shop: Sendable {
  /// What became of a command.
  public struct Receipt: Sendable {
    /// Nil when there was nothing to do.
    public var commit: RecordedCommit?
    /// True when an earlier call with the same command id did it.
    public var isRepeated: Bool

    public init(commit: RecordedCommit?, isRepeated: Bool) {
      self.commit = commit
      self.isRepeated = isRepeated
    }

    init<D: Decider>(_ outcome: CommandHandler<D>.Outcome) {
      self.init(commit: outcome.commit, isRepeated: outcome.isRepeated)
    }

    /// Of the last event; a reader that stands there has seen all of it.
    public var position: Position? { commit?.header.lastPosition }
  }

  public let products: CommandHandler<Products>
  public let customers: CommandHandler<Customers>
  public let inventory: CommandHandler<Inventory>
  public let orders: CommandHandler<Orders>
  public let payments: CommandHandler<Payments>
  public let notifications: CommandHandler<Notifications>

  let log: any EventLog
  let paymentDeadlineSeconds: Int64
  let defaultSaga: OrderSaga

  /// - Parameters:
  ///   - paymentDeadlineSeconds: how long the provider may take before a payment counts as failed.
  ///   - defaultSaga: who carries out the orders that do not say.
  ///   - snapshots: of the streams that grow long, those of stock; the others are not looked up.
  public init(
    log: any EventLog, paymentDeadlineSeconds: Int64 = 60,
    defaultSaga: OrderSaga = .orchestrated, snapshots: (any SnapshotStore)? = nil
  ) {
    self.log = log
    self.paymentDeadlineSeconds = paymentDeadlineSeconds
    self.defaultSaga = defaultSaga
    products = CommandHandler(log: log)
    customers = CommandHandler(log: log)
    inventory = CommandHandler(log: log, snapshots: snapshots)
    orders = CommandHandler(log: log)
    payments = CommandHandler(log: log)
    notifications = CommandHandler(log: log)
  }

  /// - Throws: ``CustomerRejection``.
  @discardableResult
  public func registerCustomer(
    _ id: CustomerID, name: String, email: String, context: CommitContext
  ) async throws -> Receipt {
    let customer = CustomerRegistered(customerID: id, name: name, email: email)
    return Receipt(try await customers.handle(.register(customer), on: id.text, context: context))
  }

  /// - Throws: ``ProductRejection``.
  @discardableResult
  public func addProduct(
    _ product: ProductAdded, context: CommitContext
  ) async throws -> Receipt {
    Receipt(
      try await products.handle(.add(product), on: product.productID.text, context: context))
  }
}
