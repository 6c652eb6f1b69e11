import Commerce
import EventSourcing
import Projections
import Sagas

/// Runs the orders' sagas of an ``APIUnderTest`` by hand: nobody answers for the payment provider,
/// so that they wait.
struct SagaConductor {
  let api: APIUnderTest
  let handler: SagaHandler<OrderFulfilment>

  init(_ api: APIUnderTest) {
    self.api = api
    handler = SagaHandler(log: api.log, dispatcher: OrderCommandDispatcher(shop: api.shop))
  }

  /// Takes everything that is in the log, and what comes of it.
  func conduct() async throws {
    var position = Position.start
    while true {
      let commits = try await api.log.read(after: position, limit: 500)
      guard let last = commits.last else { return }
      for event in commits.flatMap(\.events) where handler.key(for: event) != nil {
        _ = try await handler.handle(event)
      }
      position = last.header.lastPosition
    }
  }

  /// An order whose saga waits for its payment.
  func chargingOrder() async throws -> OrderID {
    let order = try await api.shop.placeOrder(
      PlaceOrder(userID: APIUnderTest.customer, items: [(APIUnderTest.mouse, 1)]),
      context: api.context()
    ).orderID
    try await conduct()
    return order
  }

  /// An order that nobody can read: its saga is suspended at it.
  func poisonedOrder() async throws -> OrderID {
    let order = OrderID(.random())
    let event = ProposedEvent(
      stream: Orders.stream(order.text), type: "OrderInitiated",
      data: ["saga": "orchestrated", "order_id": .string(order.text)])
    try await api.log.append(ProposedCommit(context: api.context(), events: [event]))
    try await conduct()
    return order
  }

  func state(of order: OrderID) async throws -> Saga<OrderFulfilment>.State {
    try await CommandHandler<Saga<OrderFulfilment>>(log: api.log).state(of: order.sagaID).state
  }
}
