import Commerce
import EventSourcing
import HTTPTypes
import Hummingbird

/// Places an order and, when the caller would rather wait, tells how it ended.
struct OrderPlacement {
  let shop: Shop
  let outcomes: OrderOutcomes

  /// An order that is in the log.
  struct Accepted {
    var orderID: OrderID
    var commandID: CommandID
    var fields: Fields
    var position: Position?
    /// By an earlier request of the same command.
    var isRepeated: Bool
    var placedAt: Timestamp
  }

  /// - Throws: what the shop refuses, naming the body's field.
  func place(_ body: OrderBody, _ command: CommandRequest) async throws -> Accepted {
    let placed: OrderPlaced
    do {
      placed = try await shop.placeOrder(body.order, context: command.context)
    } catch let rejection as ShopRejection {
      throw body.problem(for: rejection)
    }
    return Accepted(
      orderID: placed.orderID, commandID: command.commandID,
      fields: Fields(uniqueEntries: [
        .init(key: "order_id", value: .string(placed.orderID.text)),
        .init(key: "status", value: .string(placed.status)),
        .init(key: "total_amount", value: placed.total.value),
        .init(key: "currency", value: .string(placed.total.currency.code)),
      ]),
      position: placed.receipt.position, isRepeated: placed.receipt.isRepeated,
      placedAt: placed.receipt.commit?.header.context.timestamp ?? command.context.timestamp)
  }

  /// The answer at once, or the outcome when `Prefer: wait` asks for it: 201 confirmed, 409
  /// cancelled, 202 when it is open still.
  func answer(_ accepted: Accepted, _ request: Request) async throws(Problem) -> Response {
    var answer = CommandAnswer(
      commandID: accepted.commandID, message: "order accepted", data: accepted.fields,
      position: accepted.position, location: Self.location(accepted.orderID))
    guard let seconds = Preference.waitSeconds(request) else { return answer.response }
    answer.waited = seconds
    let placed = accepted.isRepeated ? nil : accepted.position
    switch await outcomes.wait(for: accepted.orderID, placed: placed, seconds: seconds) {
    case nil: break
    case .confirmed(let position):
      answer.status = .created
      answer.message = "order confirmed"
      answer.data["status"] = .string(OrderStatus.confirmed.rawValue)
      answer.position = position
    case .cancelled(let event, let position):
      throw Self.cancelled(accepted, event, position, waited: seconds)
    }
    return answer.response
  }

  static func location(_ order: OrderID) -> String { "/cqrs/queries/orders/\(order)" }

  private static func cancelled(
    _ accepted: Accepted, _ event: OrderCancelled, _ position: Position, waited: Int
  ) -> Problem {
    Problem(
      .orderCancelled, event.reason,
      members: [
        "code": .string(event.code), "order_id": .string(accepted.orderID.text),
        "order_status": .string(OrderStatus.cancelled.rawValue),
        "command_id": .string(accepted.commandID.description),
      ],
      headers: [
        .location: location(accepted.orderID), .magasinPosition: position.description,
        .preferenceApplied: "wait=\(waited)",
      ])
  }
}
