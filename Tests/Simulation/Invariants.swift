import Commerce
import EventSourcing
import Sagas

/// The rules of RELIABILITY.md, I3 to I13, looked after at every commit. Everything here is counted
/// from the events and the provider's ledger alone.
struct Invariants {
  private let provider: SimulatedProvider
  private var head = Position.start
  private var versions: [StreamName: Version] = [:]
  private var commands: Set<CommandID> = []
  private var eventIDs: Set<String> = []
  private var products: [String: StockModel] = [:]
  private var orders: [String: OrderModel] = [:]

  init(_ provider: SimulatedProvider) { self.provider = provider }

  func total(of order: OrderID) -> Money? { orders[order.text]?.total }

  mutating func take(_ commit: RecordedCommit) -> Violation? {
    guard commands.insert(commit.header.context.commandID).inserted else {
      return Violation(invariant: "I8", what: "command \(commit.header.context.commandID) twice")
    }
    guard commit.header.eventCount == commit.events.count, !commit.events.isEmpty else {
      return Violation(invariant: "I3", what: "a commit in parts at \(commit.header.firstPosition)")
    }
    for event in commit.events {
      if let broken = takeNumbers(of: event) { return broken }
    }
    for event in commit.events where event.stream.category == "inventory" {
      if let fault = products[event.stream.id, default: StockModel()].take(event) {
        return Violation(invariant: "I11", what: "product \(event.stream.id): \(fault)")
      }
    }
    for event in commit.events {
      guard let order = event.data["order_id"]?.stringValue else { continue }
      if let broken = orders[order, default: OrderModel(id: order)].take(event, provider) {
        return broken
      }
    }
    // Who has begun to pay keeps his hold, and who has lost it cannot pay.
    for order in orders.values where order.hasLostHold && order.payment != .voided {
      return Violation(
        invariant: "I13",
        what: "\(order.id) has lost its hold, and its payment is \(order.payment.rawValue)")
    }
    return nil
  }

  private mutating func takeNumbers(of event: Recorded) -> Violation? {
    guard event.position == head + 1 else {
      return Violation(invariant: "I6", what: "position \(event.position) after \(head)")
    }
    head = event.position
    let version = versions[event.stream] ?? .none
    guard event.version == version + 1 else {
      return Violation(invariant: "I4", what: "\(event.stream) \(event.version) after \(version)")
    }
    versions[event.stream] = event.version
    return nil
  }

  // MARK: The end

  func unsettled(_ order: OrderID) -> String? { orders[order.text]?.unsettled }

  func brokenAtTheEnd(_ order: OrderID) -> Violation? {
    orders[order.text]?.brokenAtTheEnd(provider)
  }

  /// Every saga folded again from its stream stands where its last event says; deciding its inputs
  /// again leaves no event.
  func differenceFromReplay(_ events: [Recorded]) -> Violation? {
    typealias Fulfilment = Saga<OrderFulfilment>
    var states: [StreamName: Fulfilment.State] = [:]
    for event in events where event.stream.category == OrderFulfilment.category {
      do {
        Fulfilment.evolve(
          &states[event.stream, default: Fulfilment.initial], try Fulfilment.decode(event))
      } catch {
        return Violation(invariant: "I9", what: "\(event.stream) cannot be read: \(error)")
      }
    }
    for (stream, state) in states {
      guard let model = orders[String(stream.id.dropFirst("saga_".count))]?.saga else { continue }
      guard state.own.stage.rawValue == model.state, state.own.timer == model.timer,
        state.suspension == nil, state.parked.isEmpty
      else {
        return Violation(invariant: "I9", what: "\(stream) folds to \(state), not to \(model)")
      }
    }
    for event in events {
      guard let id = OrderFulfilment.sagaID(for: event),
        let state = states[Fulfilment.stream(id)]
      else { continue }
      let again = SagaInput(.event(event), saga: id, at: event.timestamp)
      guard let decided = try? Fulfilment.decide(again, state), decided.isEmpty else {
        return Violation(invariant: "I8", what: "\(id) takes \(event.position) again")
      }
    }
    return nil
  }
}
