import EventSourcing

@testable import Sagas

/// Given what has happened, when this happens, then the saga does that.
final class Story {
  private(set) var state = OrderFulfilment.initial
  private(set) var events: [SagaEvent] = []
  private(set) var position: Int64 = 0
  private(set) var now = Happening.noon

  /// - Parameter definition: the rules that the saga began with.
  init(
    _ happenings: [Happening] = [], under definition: OrderFulfilment.Definition = .current
  ) {
    state.definition = definition
    for happening in happenings { take(happening) }
  }

  /// What the saga does on the next input; nil when it ignores it.
  @discardableResult
  func take(_ happening: Happening) -> SagaEvent? {
    if case .event = happening.kind { position += 1 }
    if case .pause(let seconds) = happening.kind {
      now = now.adding(seconds: seconds)
      return nil
    }
    return take(happening.input(at: position, now))
  }

  /// Time passes, and the saga's timer is fired if it is due by then.
  @discardableResult
  func wait(seconds: Int64) -> SagaEvent? {
    now = now.adding(seconds: seconds)
    guard let timer = state.timer, timer.due <= now else { return nil }
    return fire(epoch: timer.epoch)
  }

  @discardableResult
  func fire(epoch: Int64) -> SagaEvent? {
    take(SagaInput(.timer(epoch: epoch), saga: Happening.order.id.sagaID, at: now))
  }

  /// Why an operator's act is refused now; nil when it is not.
  func refusal(of action: SagaAct.Action) -> SagaRefusal? {
    do {
      _ = try OrderFulfilment.decide(Happening.act(action).input(at: position, now), state)
      return nil
    } catch {
      return error
    }
  }

  @discardableResult
  func take(_ input: SagaInput) -> SagaEvent? {
    guard let decided = try? OrderFulfilment.decide(input, state) else { return nil }
    precondition(decided.count <= 1, "one event an input")
    guard let event = decided.first else { return nil }
    OrderFulfilment.evolve(&state, event)
    events.append(event)
    return event
  }

  var stage: OrderFulfilment.Stage { state.stage }
  var commands: [OutgoingCommand] { events.flatMap(\.commands) }
}

extension SagaEvent {
  /// As in `releasing: RefundPayment, ReleaseStock`.
  var summary: String {
    commands.isEmpty
      ? stage.rawValue
      : "\(stage.rawValue): \(commands.map(\.name).joined(separator: ", "))"
  }
}
