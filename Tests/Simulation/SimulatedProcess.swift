import Commerce
import EventSourcing
import Foundation
import Logging
import Projections
import Sagas

/// One process of the shop from its start to its death: everything that the server runs, on a log
/// and a store of its own. Nothing that it does after its death has any effect.
final class SimulatedProcess: @unchecked Sendable {
  let name: String
  let world: World
  private(set) var isAlive = true
  private(set) var shop: Shop!
  private(set) var subscriptions: [Subscription] = []
  private var tasks: [Task<Void, Never>] = []
  private var waiting: [Int: Waiter] = [:]
  private var waitingCount = 0
  /// Of the saga session under way.
  private var sagas: SagaHandler<OrderFulfilment>?
  private var operations: SagaOperations<OrderFulfilment>!

  init(name: String, world: World) {
    self.name = name
    self.world = world
  }

  // MARK: Living and dying

  func start() {
    world.tell("\(name): starts")
    let log = SimulatedLog(world: world, process: self)
    let store = SimulatedStore(world: world, process: self)
    shop = Shop(log: log, paymentDeadlineSeconds: world.plan.paymentDeadlineSeconds)
    let dispatcher = SimulatedDispatcher(
      base: OrderCommandDispatcher(shop: shop), process: self)
    operations = SagaOperations(log: log) { _, _ in [] }
    subscriptions =
      [sagas(log, store, dispatcher)] + reactors(log, store)
      + policies(log, store, dispatcher)
    for subscription in subscriptions { spawn { try? await subscription.run() } }
    if world.plan.hasProjections {
      let reader = SharedReader(log)
      for projection in World.projections { spawn(projection, reader, store) }
    }
    spawn { await self.watchTheClock() }
    spawn { await self.repeatThePast(log) }
  }

  private func spawn(_ work: @escaping @Sendable () async -> Void) {
    tasks.append(Task { await work() })
  }

  private func spawn<P: Projection>(
    _ projection: P, _ reader: SharedReader, _ store: SimulatedStore
  ) {
    let driver = ProjectionDriver(
      projection, reader: reader, store: store, board: ProjectionBoard(), logger: world.logger,
      process: leases)
    spawn { try? await driver.run() }
  }

  func die() {
    isAlive = false
    for task in tasks { task.cancel() }
    wake()
  }

  private var leases: LeaseProcess {
    LeaseProcess(name) { [world] other in world.isDead(other) }
  }

  private var settings: [String: Int64] {
    [
      OrderFulfilment.Settings.paymentDeadlineKey: world.plan.paymentDeadlineSeconds,
      // As short as it may be.
      OrderFulfilment.Settings.holdKey: world.plan.isSlow ? 1 : 900,
    ]
  }

  // MARK: Steps

  /// Asks the outside for something: everybody else may do something first.
  func step() async throws {
    guard isAlive else { throw CancellationError() }
    await letOthersGo()
    guard isAlive else { throw CancellationError() }
  }

  /// A point at which the process may be held up, or killed.
  func reach(_ place: @autoclosure () -> String) async throws {
    try await step()
    try await holdUp(place())
    if world.isCrash() {
      world.tell("\(name): KILLED at: \(place())")
      world.kill(self)
      throw CancellationError()
    }
  }

  /// A read is held up in slow worlds only: it is done too often for the others.
  func read() async throws {
    try await step()
    if world.plan.isSlow { try await holdUp("read") }
    if world.fails(\.readFails) { throw Unreachable() }
  }

  /// A timer that is due.
  func readTimer() async throws {
    try await read()
    guard world.fails(\.timerLate) else { return }
    try await rest(for: .seconds(world.chance.number(in: 100...1000)), "a timer")
  }

  private func holdUp(_ place: @autoclosure () -> String) async throws {
    guard world.fails(\.delay) else { return }
    try await rest(for: world.chance.duration(upTo: world.plan.faults.delayMax), place())
  }

  private func rest(for pause: Duration, _ place: @autoclosure () -> String) async throws {
    world.tell("\(name): held up for \(pause) at: \(place())")
    try await Task.sleep(for: pause)
    guard isAlive else { throw CancellationError() }
  }

  func waitForEvents(after position: Position, timeout: Duration) async -> Bool {
    waitingCount += 1
    let id = waitingCount
    let end = world.scheduler.seconds + timeout / .seconds(1)
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        guard isAlive, !Task.isCancelled, world.head <= position else {
          return continuation.resume()
        }
        waiting[id] = Waiter(continuation: continuation, end: end)
      }
    } onCancel: {
      waiting.removeValue(forKey: id)?.continuation.resume()
    }
    return world.head > position
  }

  /// Somebody who waits for the log to grow, until a time at most.
  private struct Waiter {
    var continuation: UnsafeContinuation<Void, Never>
    var end: Double
  }

  private func watchTheClock() async {
    while isAlive {
      try? await Task.sleep(for: .milliseconds(800))
      let now = world.scheduler.seconds
      wake { $0.end <= now }
    }
  }

  /// The log has grown.
  func wake() {
    wake { _ in true }
  }

  private func wake(_ isMeant: (Waiter) -> Bool) {
    let woken = waiting.filter { isMeant($0.value) }.sorted { $0.key < $1.key }
    for (id, waiter) in woken {
      waiting[id] = nil
      waiter.continuation.resume()
    }
  }

  // MARK: What it runs

  private func sagas(
    _ log: SimulatedLog, _ store: SimulatedStore, _ dispatcher: SimulatedDispatcher
  ) -> Subscription {
    let waiting: TimerKeeper.Source = { try await SagaQueries.waiting(in: store) }
    let begin: Subscription.Begin = { [self] position in
      let session = SagaSession<OrderFulfilment>(
        log: log, dispatcher: dispatcher, logger: world.logger, settings: settings,
        waiting: world.plan.hasProjections ? waiting : nil)
      sagas = session.handler
      return try await session.begin(after: position)
    }
    return Subscription(
      name: OrderFulfilment.name, log: log, checkpoints: store, logger: world.logger,
      process: world.plan.hasLeases ? leases : nil, begin: begin)
  }

  private func reactors(_ log: SimulatedLog, _ store: SimulatedStore) -> [Subscription] {
    let notifications = NotificationReactor(
      shop: shop, channel: SimulatedChannel(process: self), logger: world.logger)
    let payments = PaymentReactor(
      shop: shop, gateway: SimulatedProvider.Gateway(provider: world.provider, process: self),
      logger: world.logger)
    return [
      subscription(PaymentReactor.name, log, store, payments.key(for:), payments.handle),
      subscription(
        NotificationReactor.name, log, store, notifications.key(for:), notifications.handle),
    ]
  }

  private func policies(
    _ log: SimulatedLog, _ store: SimulatedStore, _ dispatcher: SimulatedDispatcher
  ) -> [Subscription] {
    guard world.plan.choreographed > 0 else { return [] }
    return Participant.allCases.map { participant in
      let policy = participant.policy(
        log: log, shop: shop, dispatcher: dispatcher, logger: world.logger)
      return subscription(policy.name, log, store, policy.key(for:), policy.handle)
    }
  }

  /// Some events come twice.
  private func subscription(
    _ name: String, _ log: SimulatedLog, _ store: SimulatedStore,
    _ key: @escaping @Sendable (Recorded) -> String?,
    _ handle: @escaping @Sendable (Recorded) async throws -> Void
  ) -> Subscription {
    Subscription(
      name: name, log: log, checkpoints: store, logger: world.logger,
      process: world.plan.hasLeases ? leases : nil, key: key
    ) { [world] event in
      try await handle(event)
      if world.fails(\.deliveredTwice) {
        world.tell("\(event.position) comes to \(name) twice")
        try await handle(event)
      }
    }
  }

  // MARK: What should change nothing

  /// Old events and old timers come to the sagas again.
  private func repeatThePast(_ log: SimulatedLog) async {
    while isAlive, !world.isCalm {
      try? await Task.sleep(for: world.chance.duration(upTo: .seconds(20)))
      guard isAlive, world.fails(\.comesAgain), let sagas, let event = pastEvent() else { continue }
      world.tell("\(name): \(event.position) comes again")
      if event.stream.category == OrderFulfilment.category,
        let timer = (try? SagaTimer(in: event)) ?? nil, world.chance.happens(500)
      {
        world.tell("\(name): timer \(timer.epoch) of \(event.stream.id) fires again")
        try? await sagas.fire(timer, of: event.stream.id, setBy: event)
      } else if let rest = try? await sagas.handle(event) {
        try? await rest()
      }
    }
  }

  /// An event that the sagas have done with.
  private func pastEvent() -> Recorded? {
    guard let done = subscriptions.first?.progress.checkpoint.rawValue, done > 0 else {
      return nil
    }
    return world.event(at: Position(Int64(world.chance.number(in: 1...Int(done)))))
  }

  func act(_ action: SagaAct.Action, on saga: String, id: String) async {
    world.tell("\(name): an operator: \(action.name) \(saga)")
    let act = SagaAct(id: id, action, reason: "it takes too long", by: "ann")
    let context = CommitContext(
      commandID: CommandID(derivedFrom: id), timestamp: .now, serviceName: "operators")
    _ = try? await operations.carryOut(act, on: saga, context: context)
  }
}

/// Sends commands to the shop over a network that loses and repeats them.
struct SimulatedDispatcher: CommandDispatcher {
  let base: OrderCommandDispatcher
  unowned let process: SimulatedProcess

  private static let undos: Set<String> = ["RefundPayment", "ReleaseStock", "CancelOrder"]

  var isAppending: Bool { base.isAppending }

  func dispatch(_ command: OutgoingCommand, causation: CommandCause) async throws {
    let world = process.world
    try await process.reach("send \(command.effectID)")
    if world.fails(\.dispatchFails) { throw Unreachable() }
    if causation.stream.category == OrderFulfilment.category, Self.undos.contains(command.name),
      world.fails(\.undoRefused), world.mayRefuse(command.effectID)
    {
      world.tell("\(process.name): \(command.effectID) is refused")
      throw CommandRefused(reason: "somebody is counting")
    }
    try await base.dispatch(command, causation: causation)
    if world.fails(\.dispatchTwice) {
      world.tell("\(process.name): \(command.effectID) is sent twice")
      try? await base.dispatch(command, causation: causation)
    }
    try await process.reach("sent \(command.effectID)")
    if world.fails(\.dispatchFails) { throw Unreachable() }
  }
}

struct SimulatedChannel: NotificationChannel {
  unowned let process: SimulatedProcess

  func send(_ message: NotificationRequested) async throws -> String {
    try await process.reach("notify \(message.orderID)")
    if process.world.fails(\.messageFails) { throw Unreachable() }
    return "message of \(message.orderID)"
  }
}
