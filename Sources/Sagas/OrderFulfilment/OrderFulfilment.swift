import Commerce
import EventSourcing

/// The saga of an order: reserve stock, take payment, confirm, notify; backwards refund, release,
/// cancel.
///
/// `decide` is a total function of the stage and the classified input. What it answers is one
/// event that carries the transition and the commands to send. An input that the stage does not
/// expect is late or somebody else's, and leaves no event.
public enum OrderFulfilment: ProcessManager {
  public enum Step: String, Sendable, Hashable, CaseIterable {
    /// The customer's own command; what is left of it to do is to cancel it.
    case place
    case reserve
    /// Only when the hold would not outlive the payment.
    case hold
    case pay
    case confirm
    case notify
  }

  /// Outlives versions of the definition: it is where the subscription stands.
  public static let name = "order-fulfilment.v1"
  public static let category = "sagas"

  /// In the order of execution; compensation walks it backwards. Durations are those of
  /// ``Definition/v2``; sagas of ``Definition/v1`` have none.
  public static let steps: [SagaStep<Step>] = [
    SagaStep(
      .place, command: nil, success: ["OrderInitiated"],
      compensation: "CancelOrder", undone: ["OrderCancelled"], undoDeadlineSeconds: 120),
    SagaStep(
      .reserve, command: "ReserveStock", success: ["StockReserved"],
      failure: ["StockUnavailable"], compensation: "ReleaseStock",
      undone: ["StockReleased", "StockReservationBarred"], deadlineSeconds: 60,
      undoDeadlineSeconds: 120),
    SagaStep(
      .hold, command: "ExtendHold", success: ["StockHoldExtended"], deadlineSeconds: 60),
    // The payment's own deadline is a setting; this is what the saga waits beyond it.
    SagaStep(
      .pay, command: "TakePayment", success: ["PaymentProcessed"], failure: ["PaymentFailed"],
      compensation: "RefundPayment", undone: ["PaymentRefunded", "PaymentVoided"],
      deadlineSeconds: 30, undoDeadlineSeconds: 120),
    SagaStep(.confirm, command: "ConfirmOrder", success: ["OrderConfirmed"]),
    // Best effort: an order stands whether its message arrived or not.
    SagaStep(
      .notify, command: "RequestNotification", success: ["NotificationSent", "NotificationFailed"],
      deadlineSeconds: 600),
  ]

  /// Schema 2 adds the timer; without one an event says what it said.
  public static let upcasters: [Upcaster] = SagaEvent.Kind.allCases
    .filter { $0 != .retried }
    .map { kind in Upcaster(kind.rawValue, from: 1) { $0 } }

  public static var initial: State { State() }

  public static func sagaID(for event: Recorded) -> String? {
    guard let order = orderID(of: event), concerns(event, order) else { return nil }
    return order.sagaID
  }

  /// An order that cannot be read all the same has a saga, which is suspended at it.
  private static func orderID(of event: Recorded) -> OrderID? {
    if let order = try? event.data.orderIDIfPresent() { return order }
    return begins(with: event) ? OrderID(event.stream.id) : nil
  }

  public static func begins(with event: Recorded) -> Bool { event.type == "OrderInitiated" }
  public static func lastInput(of state: State) -> Position { state.lastInput }
  public static func timer(of state: State) -> SagaTimer? { state.timer }

  public static func identity(of id: String, _ state: State) -> Fields {
    let prefix = "saga_"
    return [
      "saga_id": .string(id),
      "order_id": .string(id.hasPrefix(prefix) ? String(id.dropFirst(prefix.count)) : id),
      "definition": .string(state.definition.rawValue), "state": .string(state.stage.rawValue),
    ]
  }

  public static func decide(
    _ input: SagaInput, _ state: State
  ) throws(SagaRefusal) -> [SagaEvent] {
    // Inputs come in the log's order: at or below the last one taken is a repetition.
    if let event = input.event, event.position <= state.lastInput { return [] }
    var state = state
    state.now = input.at
    if state.order == nil { state.settings = Settings(input.settings) }
    let move: Move?
    var order = state.order
    var act: SagaAct?
    switch input.cause {
    case .event(let event), .parked(let event, _):
      let classified = try Input(event)
      if case .started(let placed)? = classified, order == nil {
        order = placed
        state.order = placed
      }
      move = classified.flatMap { self.move(from: state, on: $0) }
    case .refused(let command, let reason, _):
      move = Input(refused: command, reason).flatMap { self.move(from: state, on: $0) }
    case .timer(let epoch):
      guard let timer = state.timer, timer.epoch == epoch, timer.due <= input.at else { return [] }
      move = whenDue(state)
    case .act(let given):
      act = given
      move = try whenActed(state, given)
    }
    guard let move, let order else { return [] }
    return [event(move, order, input, state, act)]
  }

  private static func event(
    _ move: Move, _ order: SagaOrder, _ input: SagaInput, _ state: State, _ act: SagaAct?
  ) -> SagaEvent {
    let failure = move.failure ?? state.failure
    var event = SagaEvent(
      kind: move.kind, order: order, stage: move.stage, input: SagaEvent.Input(input),
      finished: move.finished,
      commands: move.commands.compactMap { step, direction in
        command(
          step, direction, of: order, because: state.failure ?? move.failure,
          Moments(state, at: input.at))
      },
      failure: failure, definition: state.definition)
    if move.kind == .started, state.definition.hasDeadlines { event.settings = state.settings }
    event.act = act
    event.timer = timer(after: move, state, at: input.at)
    return event
  }

  public static func evolve(_ state: inout State, _ event: SagaEvent) { state.apply(event) }
}
