import Commerce
import EventSourcing
import Foundation
import Logging
import Sagas
import Testing

/// A shop with a log in memory and everything that runs on it.
struct Rig: Sendable {
  static let customer = CustomerID(7)
  static let price = Money(minorUnits: 19_999, currency: .cad)

  let log = InMemoryLog()
  let gateway: FakeGateway
  let time: FakeTime
  let shop: Shop
  /// Called before each command of a saga is sent.
  var beforeDispatch: @Sendable (OutgoingCommand) async throws -> Void = { _ in }
  /// Called after it.
  var afterDispatch: @Sendable (OutgoingCommand) async throws -> Void = { _ in }
  /// How many times each event is delivered.
  var deliveries = 1
  /// Who carries out the orders that are placed here.
  var saga = OrderSaga.orchestrated
  /// The participants of choreographies that run.
  var participants = Set(Participant.allCases)

  /// A customer, and products 1, 2, 3 with that many pieces each.
  init(stock: Int64 = 10, gateway: FakeGateway = FakeGateway(), time: FakeTime = FakeTime())
    async throws
  {
    self.gateway = gateway
    self.time = time
    shop = Shop(log: log)
    try await shop.registerCustomer(
      Self.customer, name: "Ada", email: "ada@example.com", context: context())
    for number in Int64(1)...3 {
      let product = ProductID(number)
      try await shop.addProduct(
        ProductAdded(
          productID: product, name: "Product \(number)", sku: "sku-\(number)",
          unitPrice: Self.price), context: context())
      try await shop.restock(product, quantity: stock, context: context())
    }
  }

  func context(_ id: CommandID = .random()) -> CommitContext {
    // Later than the making of every reactor.
    time.advance(milliseconds: 1)
    return CommitContext(commandID: id, timestamp: time.now, serviceName: "test")
  }

  @discardableResult
  func place(_ lines: [OrderLine] = [(ProductID(1), 1)]) async throws -> OrderID {
    try await shop.placeOrder(
      PlaceOrder(userID: Self.customer, items: lines, saga: saga), context: context()
    ).orderID
  }

  // MARK: Running

  /// Runs sagas and reactors while `body` runs.
  func running<T: Sendable>(
    checkpoints: InMemoryReadModels = InMemoryReadModels(), logger: Logger = .silent,
    _ body: @Sendable ([Subscription]) async throws -> T
  ) async throws -> T {
    let subscriptions = self.subscriptions(checkpoints: checkpoints, logger: logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      for subscription in subscriptions { group.addTask { try await subscription.run() } }
      defer { group.cancelAll() }
      return try await body(subscriptions)
    }
  }

  /// Each with its own view of the log, as in a process of its own.
  private func subscriptions(
    checkpoints: InMemoryReadModels, logger: Logger
  ) -> [Subscription] {
    let dispatcher = Dispatcher(
      base: OrderCommandDispatcher(shop: Shop(log: log), now: { time.now }),
      before: beforeDispatch, after: afterDispatch)
    let payments = PaymentReactor(
      shop: Shop(log: log), gateway: gateway, logger: logger, clock: time.clock)
    let notifications = NotificationReactor(
      shop: Shop(log: log), channel: LogChannel(logger: logger), logger: logger,
      clock: time.clock)
    let policies = participants.map {
      $0.policy(log: log, shop: Shop(log: log), dispatcher: dispatcher, logger: logger)
    }
    let orchestrated = Subscription(
      name: OrderFulfilment.name, log: log, checkpoints: checkpoints, logger: logger
    ) { position in
      let session = SagaSession<OrderFulfilment>(
        log: log, dispatcher: dispatcher, logger: logger, clock: { time.now },
        // The clock is moved by others; looking at it often costs nothing here.
        sleep: { _ in try await Task.sleep(for: .milliseconds(2)) })
      let begun = try await session.begin(after: position)
      return Subscription.Session(
        key: begun.key, handle: repeated(begun.handle), companion: begun.companion)
    }
    let parts:
      [(String, @Sendable (Recorded) -> String?, @Sendable (Recorded) async throws -> Void)]
    parts =
      [
        (PaymentReactor.name, payments.key(for:), payments.handle),
        (NotificationReactor.name, notifications.key(for:), notifications.handle),
      ] + policies.map { ($0.name, $0.key(for:), $0.handle) }
    return [orchestrated]
      + parts.map { name, key, handle in
        Subscription(
          name: name, log: log, checkpoints: checkpoints, logger: logger, key: key,
          handle: { event in
            for _ in 0..<deliveries { try await handle(event) }
          })
      }
  }

  /// Delivers each event as often as it says.
  private func repeated(_ handle: @escaping Subscription.Handle) -> Subscription.Handle {
    { event in
      var remainder: Subscription.Remainder?
      for _ in 0..<deliveries { remainder = try await handle(event) ?? remainder }
      return remainder
    }
  }

  private struct Dispatcher: CommandDispatcher {
    var base: OrderCommandDispatcher
    var before: @Sendable (OutgoingCommand) async throws -> Void
    var after: @Sendable (OutgoingCommand) async throws -> Void

    var isAppending: Bool { base.isAppending }

    func dispatch(_ command: OutgoingCommand, causation: CommandCause) async throws {
      try await before(command)
      try await base.dispatch(command, causation: causation)
      try await after(command)
    }
  }

  // MARK: Looking

  func events() async throws -> [Recorded] {
    try await log.read(after: .start, limit: .max).flatMap(\.events)
  }

  /// The types of the events of an order, without the saga's own and the requests to reactors.
  func history(of order: OrderID) async throws -> [String] {
    let requests: Set = [
      "PaymentInitiated", "PaymentRefundRequested", "NotificationRequested",
    ]
    return try await events().filter { event in
      event.data["order_id"] == .string(order.text)
        && event.stream.category != OrderFulfilment.category && !requests.contains(event.type)
    }.map(\.type)
  }

  func stage(of order: OrderID) async throws -> OrderFulfilment.Stage? {
    let events = try await log.stream(OrderFulfilment.stream(order.sagaID))
    return try events.last.map { try OrderFulfilment.decode($0).stage }
  }

  /// - Parameter secondsPassing: by the rig's clock, at each look.
  func waitUntil(
    _ order: OrderID, is stage: OrderFulfilment.Stage, secondsPassing: Int64 = 0
  ) async throws {
    try await poll("\(order) is \(stage)") {
      if secondsPassing > 0 { time.advance(milliseconds: secondsPassing * 1000) }
      return try await self.stage(of: order) == stage
    }
  }

  /// Until every subscription has handled the whole log.
  func waitUntilQuiet(_ subscriptions: [Subscription]) async throws {
    try await poll("the subscriptions are at the head") {
      let head = try await log.head()
      return subscriptions.allSatisfy { $0.progress.checkpoint == head }
    }
  }

  func stock(_ number: Int64) async throws -> (available: Int64, reserved: Int64) {
    let product = Inventory.stream(ProductID(number).text)
    let state = Inventory.state(after: try await log.stream(product).map(Inventory.decode))
    return (state.available, state.reserved)
  }
}

struct TimedOut: Error, CustomStringConvertible {
  var description: String
}

func poll(
  _ what: String, within limit: Duration = .seconds(60),
  _ condition: @Sendable () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(5))
  }
  throw TimedOut(description: "waited for: \(what)")
}

extension Logger {
  static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
