import Commerce
import EventSourcing

extension OrderFulfilment {
  /// The reason of a refusal that is none: the command found its work done already, or nothing to
  /// undo, so that no event will answer it.
  public static let nothingToDo = "there was nothing to do"

  /// What an input means to the saga.
  enum Input: Sendable, Hashable {
    case started(SagaOrder)
    case succeeded(Step)
    /// `mayStand`: the step may have been done all the same.
    case failed(Step, SagaFailure, mayStand: Bool)
    case undone(Step)
    /// Somebody pays by hand; the outcome will follow.
    case paymentBegun
    case cancellationRequested(SagaFailure)
    case refused(Step, SagaDirection, reason: String)
    case nothingToDo(Step, SagaDirection)

    init?(refused command: OutgoingCommand, _ reason: String) {
      guard let (step, direction) = OrderFulfilment.effect(named: command.name) else { return nil }
      self =
        reason == OrderFulfilment.nothingToDo
        ? .nothingToDo(step, direction) : .refused(step, direction, reason: reason)
    }

    /// Nil for an event that means nothing to the saga.
    init?(_ event: Recorded) throws(SagaRefusal) {
      switch event.type {
      case "OrderInitiated":
        do {
          self = .started(try SagaOrder(fields: Orders.currentData(of: event)))
        } catch {
          throw .poison("the order cannot be read: \(error)")
        }
      case "OrderCancellationRequested":
        let reason = try? event.data.string("reason")
        self = .cancellationRequested(
          SagaFailure(code: "CUSTOMER_REQUEST", reason: reason ?? "cancelled by the customer"))
      case "PaymentInitiated":
        self = .paymentBegun
      default:
        guard let answer = Self.answer(event) else { return nil }
        self = answer
      }
    }

    private static func answer(_ event: Recorded) -> Input? {
      for step in steps {
        if step.success.contains(event.type) { return .succeeded(step.name) }
        if step.undone.contains(event.type) { return .undone(step.name) }
        if step.failure.contains(event.type) {
          let mayStand = (try? event.data.boolIfPresent("possibly_charged")) ?? false
          return .failed(step.name, SagaFailure(event, of: step.name), mayStand: mayStand)
        }
      }
      return nil
    }
  }

  /// Whether an event is an input of the saga of `order`.
  ///
  /// Stock is also moved by hand on behalf of an order: only the answers to the saga's own
  /// commands count. They are one commit over all products, and its first event speaks for it.
  /// A choreographed order has no saga, and says so in all of its commits.
  static func concerns(_ event: Recorded, _ order: OrderID) -> Bool {
    guard isOfTheShop(event), !event.isChoreographed else { return false }
    return switch event.type {
    case "OrderInitiated":
      event.data["saga"] == "orchestrated"
    case "StockReserved", "StockUnavailable":
      event.index == 0 && isAnswer(event, to: order, .reserve, .forward)
    case "StockHoldExtended":
      event.index == 0 && isAnswer(event, to: order, .hold, .forward)
    case "StockReleased", "StockReservationBarred":
      event.index == 0 && isAnswer(event, to: order, .reserve, .undo)
    case "PaymentInitiated":
      // The saga's own request tells it nothing new.
      !isAnswer(event, to: order, .pay, .forward)
    case "OrderCancellationRequested", "OrderConfirmed", "OrderCancelled", "PaymentProcessed",
      "PaymentFailed", "PaymentRefunded", "PaymentVoided", "NotificationSent",
      "NotificationFailed":
      true
    default:
      false
    }
  }

  /// Anybody may append events named like the shop's to streams of their own.
  private static func isOfTheShop(_ event: Recorded) -> Bool {
    switch event.stream.category {
    case Orders.category: event.type.hasPrefix("Order")
    case Inventory.category: event.type.hasPrefix("Stock")
    case Payments.category: event.type.hasPrefix("Payment")
    case Notifications.category: event.type.hasPrefix("Notification")
    default: false
    }
  }

  private static func isAnswer(
    _ event: Recorded, to order: OrderID, _ step: Step, _ direction: SagaDirection
  ) -> Bool {
    event.commandID.isOf(effect: effectID(order, step, direction))
  }
}

extension SagaFailure {
  fileprivate init(_ event: Recorded, of step: OrderFulfilment.Step) {
    switch step {
    case .reserve:
      self.init(code: "OUT_OF_STOCK", reason: (try? event.data.string("reason")) ?? event.type)
    case .place, .hold, .pay, .confirm, .notify:
      self.init(
        code: (try? event.data.string("error_code")) ?? "PAYMENT_FAILED",
        reason: (try? event.data.string("failure_reason")) ?? event.type)
    }
  }
}
