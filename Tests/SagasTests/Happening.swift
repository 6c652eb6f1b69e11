import Commerce
import EventSourcing
import Foundation

@testable import Sagas

/// An input that can come to a saga, by name: an event's type, or what became of a command.
struct Happening: Sendable, Hashable, CustomStringConvertible {
  enum Kind: Sendable, Hashable {
    case event(String, Fields)
    case refused(String)
    case nothingToDo(String)
    case act(SagaAct.Action)
    /// Nothing happens for so many seconds.
    case pause(Int64)
  }

  var description: String
  var kind: Kind

  static let order = SagaOrder(
    id: OrderID(CommandID(derivedFrom: "an order")), user: CustomerID(7), userName: "Ada",
    userEmail: "ada@example.com", lines: [.init(ProductID(1), 2), .init(ProductID(2), 1)],
    total: Money(minorUnits: 59_997, currency: .cad), paymentMethod: "card", store: 3)

  private static func event(
    _ type: String, _ data: Fields = [:], called name: String? = nil
  ) -> Happening {
    var fields: Fields = ["order_id": .string(order.id.text)]
    for entry in data.entries { fields[entry.key] = entry.value }
    return Happening(description: name ?? type, kind: .event(type, fields))
  }

  static let placed: Happening = {
    var data: Fields = ["saga": "orchestrated"]
    order.write(into: &data)
    return event("OrderInitiated", data)
  }()
  static let reserved = event("StockReserved")
  static let unavailable = event("StockUnavailable", ["reason": "insufficient stock"])
  static let released = event("StockReleased")
  static let payingByHand = event("PaymentInitiated")
  static let paid = event("PaymentProcessed")
  static let declined = event(
    "PaymentFailed",
    ["error_code": "CARD_DECLINED", "failure_reason": "declined", "possibly_charged": false])
  static let possiblyCharged = event(
    "PaymentFailed",
    ["error_code": "PAYMENT_UNAVAILABLE", "failure_reason": "no answer", "possibly_charged": true],
    called: "PaymentFailed, possibly charged")
  static let refunded = event("PaymentRefunded")
  static let voided = event("PaymentVoided")
  static let confirmed = event("OrderConfirmed")
  static let cancelled = event("OrderCancelled")
  static let cancelRequested = event("OrderCancellationRequested", ["reason": "changed my mind"])
  static let notified = event("NotificationSent")
  static let notNotified = event("NotificationFailed")
  static let barred = event("StockReservationBarred")
  static let extended = event("StockHoldExtended")

  static let commands = OrderFulfilment.steps.flatMap { [$0.command, $0.compensation] }
    .compactMap(\.self)

  static func pause(seconds: Int64) -> Happening {
    Happening(description: "\(seconds) s", kind: .pause(seconds))
  }
  static func act(_ action: SagaAct.Action) -> Happening {
    Happening(description: action.name, kind: .act(action))
  }
  static func refused(_ command: String) -> Happening {
    Happening(description: "refused \(command)", kind: .refused(command))
  }
  static func nothingToDo(_ command: String) -> Happening {
    Happening(description: "nothing to do for \(command)", kind: .nothingToDo(command))
  }

  static let all: [Happening] =
    [
      placed, reserved, unavailable, released, payingByHand, paid, declined, possiblyCharged,
      refunded, voided, confirmed, cancelled, cancelRequested, notified, notNotified, barred,
      extended,
    ] + commands.map(refused) + commands.map(nothingToDo)

  /// As the saga gets it, at a position of the log.
  func input(at position: Int64, _ time: Timestamp = noon) -> SagaInput {
    let cause: SagaInput.Cause =
      switch kind {
      case .event(let type, let data): .event(Self.recorded(type, data, at: position))
      case .refused(let command):
        .refused(
          Self.command(command), reason: "the domain said no", by: Position(position))
      case .nothingToDo(let command):
        .refused(
          Self.command(command), reason: OrderFulfilment.nothingToDo, by: Position(position))
      case .pause: .timer(epoch: 0)
      case .act(let action):
        .act(SagaAct(id: "an act", action, reason: "it must be", by: "ada"))
      }
    return SagaInput(cause, saga: Self.order.id.sagaID, at: time)
  }

  static let noon = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000)

  private static func command(_ name: String) -> OutgoingCommand {
    OutgoingCommand(effectID: "an effect", name: name, payload: [:])
  }

  /// Where the shop writes events of a type.
  private static func category(of type: String) -> String {
    let categories = [
      ("Order", "orders"), ("Stock", "inventory"), ("Payment", "payments"),
      ("Notification", "notifications"), ("Saga", "sagas"),
    ]
    return categories.first { type.hasPrefix($0.0) }?.1 ?? "some"
  }

  static func recorded(
    _ type: String, _ data: Fields, at position: Int64, index: Int = 0,
    commandID: CommandID = .random(),
    category: String? = nil
  ) -> Recorded {
    let context = CommitContext(
      commandID: commandID, timestamp: Timestamp(millisecondsSinceEpoch: 1_767_225_600_000),
      serviceName: "test")
    let header = CommitHeader(
      context: context, firstPosition: Position(position - Int64(index)), eventCount: index + 1)
    return Recorded(
      header: header, index: index,
      eventID: Recorded.eventID(command: context.commandID, index: index),
      stream: StreamName(category: category ?? Self.category(of: type), id: "stream"),
      version: Version(1), type: type,
      schema: 1, data: data)
  }
}
