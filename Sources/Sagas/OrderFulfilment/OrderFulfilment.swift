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
    case pay
    case confirm
    case notify
  }

  public static let name = "order-fulfilment.v1"
  public static let category = "sagas"

  /// In the order of execution; compensation walks it backwards.
  public static let steps: [SagaStep<Step>] = [
    SagaStep(
      .place, command: nil, success: ["OrderInitiated"],
      compensation: "CancelOrder", undone: ["OrderCancelled"]),
    SagaStep(
      .reserve, command: "ReserveStock", success: ["StockReserved"],
      failure: ["StockUnavailable"], compensation: "ReleaseStock", undone: ["StockReleased"]),
    SagaStep(
      .pay, command: "TakePayment", success: ["PaymentProcessed"], failure: ["PaymentFailed"],
      compensation: "RefundPayment", undone: ["PaymentRefunded", "PaymentVoided"]),
    SagaStep(.confirm, command: "ConfirmOrder", success: ["OrderConfirmed"]),
    // Best effort: an order stands whether its message arrived or not.
    SagaStep(
      .notify, command: "RequestNotification", success: ["NotificationSent", "NotificationFailed"]),
  ]

  public static var initial: State { State() }

  public static func sagaID(for event: Recorded) -> String? {
    guard let order = try? event.data.orderIDIfPresent(), concerns(event, order) else { return nil }
    return order.sagaID
  }

  public static func begins(with event: Recorded) -> Bool { event.type == "OrderInitiated" }

  public static func decide(_ input: SagaInput, _ state: State) -> [SagaEvent] {
    // Inputs come in the log's order: at or below the last one taken is a repetition.
    if case .event(let event) = input, event.position <= state.lastInput { return [] }
    guard let classified = Input(input), let move = move(from: state, on: classified) else {
      return []
    }
    let order: SagaOrder
    switch (state.order, classified) {
    case (nil, .started(let placed)): order = placed
    case (let known?, _): order = known
    case (nil, _): return []
    }
    return [
      SagaEvent(
        kind: move.kind, order: order, stage: move.stage, input: SagaEvent.Input(input),
        finished: move.finished,
        commands: move.commands.compactMap { step, direction in
          command(step, direction, of: order, because: state.failure ?? move.failure)
        },
        failure: move.failure ?? state.failure)
    ]
  }

  public static func evolve(_ state: inout State, _ event: SagaEvent) { state.apply(event) }
}
