import EventSourcing

@testable import Sagas

/// Given what has happened, when this happens, then the saga does that.
final class Story {
  private(set) var state = OrderFulfilment.initial
  private(set) var events: [SagaEvent] = []
  private(set) var position: Int64 = 0

  init(_ happenings: [Happening] = []) {
    for happening in happenings { take(happening) }
  }

  /// What the saga does on the next input; nil when it ignores it.
  @discardableResult
  func take(_ happening: Happening) -> SagaEvent? {
    if case .event = happening.kind { position += 1 }
    return take(happening.input(at: position))
  }

  @discardableResult
  func take(_ input: SagaInput) -> SagaEvent? {
    let decided = OrderFulfilment.decide(input, state)
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
