import Commerce
import EventSourcing
import Sagas

/// One order on its way from its placing to its confirmation: five commits of one event each, as the
/// shop writes them. What happens is the domain's own to say; only the stock's level is kept by
/// ``Shelves``, since a stock knows all orders that ever reserved of it.
struct OrderCourse {
  private static let metadata: Fields = ["source_ip": "127.0.0.1", "user_agent": "bench/1.0"]
  /// Writes what the payment provider answered.
  private static let payments = "payments"
  private static let sagas = "sagas"

  private let draft: ShopHistory.Draft
  private let order: NewOrder
  private var state = Orders.initial
  private var payment = Payments.initial
  private var stepsDone = 0

  /// An order that is placed at `time`.
  init(_ number: Int, of history: ShopHistory, at time: Timestamp) {
    draft = history.draft(number)
    order = history.order(draft, at: time)
  }

  private var id: OrderID { order.orderID }

  /// The next commit; nil behind the last one. Each expects what the earlier ones left.
  mutating func next(at time: Timestamp, _ shelves: inout Shelves) throws -> ProposedCommit? {
    defer { stepsDone += 1 }
    switch stepsDone {
    case 0: return try place(at: time)
    case 1: return reserve(at: time, &shelves)
    case 2: return try initiatePayment(at: time)
    case 3: return try processPayment(at: time)
    case 4: return try confirm(at: time)
    default: return nil
    }
  }

  private mutating func place(at time: Timestamp) throws -> ProposedCommit? {
    let context = CommitContext(
      commandID: draft.commandID, timestamp: time, serviceName: "magasin",
      metadata: Self.metadata)
    return try take(.initiate(order)).map {
      commit(ProposedEvent($0, in: Orders.stream(id.text)), context, expected: .noStream)
    }
  }

  private func reserve(at time: Timestamp, _ shelves: inout Shelves) -> ProposedCommit {
    let product = order.lines[0].productID
    let (level, version) = shelves.reserve(draft.quantity, of: draft.product)
    let event = StockEvent.reserved(
      StockReserved(
        productID: product, orderID: id, quantity: draft.quantity,
        allocations: [Allocation(.depot, draft.quantity)], level: level))
    return commit(
      ProposedEvent(event, in: Inventory.stream(product.text)), saga(.reserve, at: time),
      expected: .exactly(version))
  }

  private mutating func initiatePayment(at time: Timestamp) throws -> ProposedCommit? {
    guard let initiated = state.initiated else { return nil }
    let request = PaymentInitiated(
      orderID: id, userID: initiated.userID, amount: initiated.total,
      paymentMethod: initiated.paymentMethod, effectID: effectID(.pay),
      deadline: time.adding(seconds: 60))
    return try take(.initiate(request)).map {
      commit(
        ProposedEvent($0, in: Payments.stream(id.paymentID.text)), saga(.pay, at: time),
        expected: .noStream)
    }
  }

  private mutating func processPayment(at time: Timestamp) throws -> ProposedCommit? {
    let context = context("\(effectID(.pay))/outcome", at: time, by: Self.payments)
    return try take(.succeed(transactionID: "txn_\(id.key)")).map {
      commit(
        ProposedEvent($0, in: Payments.stream(id.paymentID.text)), context,
        expected: .exactly(Version(1)))
    }
  }

  private mutating func confirm(at time: Timestamp) throws -> ProposedCommit? {
    try take(.confirm).map {
      commit(
        ProposedEvent($0, in: Orders.stream(id.text)), saga(.confirm, at: time),
        expected: .exactly(Version(1)))
    }
  }

  private mutating func take(_ command: OrderCommand) throws -> OrderEvent? {
    let event = try Orders.decide(command, state).first
    if let event { Orders.evolve(&state, event) }
    return event
  }

  private mutating func take(_ command: PaymentCommand) throws -> PaymentEvent? {
    let event = try Payments.decide(command, payment).first
    if let event { Payments.evolve(&payment, event) }
    return event
  }

  private func effectID(_ step: OrderFulfilment.Step) -> String {
    OrderFulfilment.effectID(id, step, .forward)
  }

  private func saga(_ step: OrderFulfilment.Step, at time: Timestamp) -> CommitContext {
    context(effectID(step), at: time, by: Self.sagas)
  }

  private func context(
    _ effectID: String, at time: Timestamp, by service: String
  ) -> CommitContext {
    CommitContext(
      commandID: CommandID(effect: effectID), correlationID: draft.commandID.uuid,
      causationID: Recorded.eventID(command: draft.commandID, index: 0), timestamp: time,
      serviceName: service, metadata: Self.metadata)
  }

  private func commit(
    _ event: ProposedEvent, _ context: CommitContext, expected: ExpectedVersion
  ) -> ProposedCommit {
    ProposedCommit(context: context, events: [event], expectations: [event.stream: expected])
  }
}
