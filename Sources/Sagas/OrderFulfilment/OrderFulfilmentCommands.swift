import Commerce
import EventSourcing

extension OrderFulfilment {
  /// Order / step / direction / n: the same for every attempt, for ever.
  public static func effectID(_ order: OrderID, _ step: Step, _ direction: SagaDirection) -> String
  {
    "\(order.text)/\(step.rawValue)/\(direction.rawValue)/1"
  }

  /// The step and direction that a command's name stands for.
  static func effect(named command: String) -> (Step, SagaDirection)? {
    for step in steps {
      if step.command == command { return (step.name, .forward) }
      if step.compensation == command { return (step.name, .undo) }
    }
    return nil
  }

  /// Until when what the commands ask for is good.
  struct Moments {
    var holdUntil: Timestamp?
    /// A hold that is extended lasts as long as one that begins now.
    var extendUntil: Timestamp?
    var payUntil: Timestamp?

    init() {}
  }

  /// Nil for a direction that the table leaves empty.
  static func command(
    _ step: Step, _ direction: SagaDirection, of order: SagaOrder, because failure: SagaFailure?,
    _ moments: Moments = Moments()
  ) -> OutgoingCommand? {
    let row = steps.first { $0.name == step }
    guard let name = direction == .forward ? row?.command : row?.compensation else { return nil }
    return OutgoingCommand(
      effectID: effectID(order.id, step, direction), name: name,
      payload: direction == .forward
        ? payload(for: step, of: order, moments)
        : payload(undoing: step, of: order, because: failure))
  }

  private static func payload(
    for step: Step, of order: SagaOrder, _ moments: Moments
  ) -> Fields {
    var payload: Fields = ["order_id": .string(order.id.text)]
    switch step {
    case .reserve:
      payload["lines"] = order.linesValue
      payload["store_id"] = order.store.map(Value.integer)
      payload["expires_at"] = moments.holdUntil.map { .string($0.iso8601) }
    case .hold:
      payload["products"] = order.productsValue
      payload["until"] = moments.extendUntil.map { .string($0.iso8601) }
    case .pay:
      payload["deadline"] = moments.payUntil.map { .string($0.iso8601) }
      payload["user_id"] = order.user.value
      payload["amount"] = order.total.value
      payload["currency"] = .string(order.total.currency.code)
      payload["payment_method"] = .string(order.paymentMethod)
    case .notify:
      payload["user_id"] = order.user.value
      payload["recipient"] = .string(order.userEmail)
      payload["subject"] = .string("Your order \(order.id.text) is confirmed")
    case .place, .confirm:
      break
    }
    return payload
  }

  private static func payload(
    undoing step: Step, of order: SagaOrder, because failure: SagaFailure?
  ) -> Fields {
    var payload: Fields = ["order_id": .string(order.id.text)]
    if step == .reserve { payload["products"] = order.productsValue }
    payload["reason"] = .string(failure?.reason ?? "the order was not completed")
    if step == .place { payload["code"] = .string(failure?.code ?? "NOT_COMPLETED") }
    return payload
  }
}
