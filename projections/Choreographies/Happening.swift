import Commerce
import EventSourcing

extension ChoreographiesProjection {
  /// What an event means to a choreographed order.
  enum Happening {
    case placed(OrderID)
    case reserved
    case unavailable(reason: String)
    case paymentBegun
    case paid
    case paymentFailed(code: String, reason: String, mayBeCharged: Bool)
    case confirmed
    case told
    case notTold(reason: String)
    case cancellationRequested(reason: String)
    case cancelled(code: String, reason: String)
    /// Freed, or barred before it was held.
    case released
    case refundBegun
    case refunded
    /// Nothing was charged, and nothing will be.
    case voided

    /// - Throws: for an event of a schema that is not known here.
    init(_ event: Recorded) throws {
      switch event.stream.category {
      case Orders.category: self = Self(try Orders.decode(event))
      case Payments.category: self = Self(try Payments.decode(event))
      case Inventory.category: self = try Self.ofStock(event)
      default: self = try Self.ofNotification(event)
      }
    }

    private init(_ event: OrderEvent) {
      switch event {
      case .initiated(let order): self = .placed(order.orderID)
      case .cancellationRequested(let request):
        self = .cancellationRequested(reason: request.reason)
      case .confirmed: self = .confirmed
      case .cancelled(let end): self = .cancelled(code: end.code, reason: end.reason)
      }
    }

    private init(_ event: PaymentEvent) {
      switch event {
      case .initiated: self = .paymentBegun
      case .processed: self = .paid
      case .failed(let failure):
        self = .paymentFailed(
          code: failure.errorCode, reason: failure.failureReason,
          mayBeCharged: failure.possiblyCharged)
      case .refundRequested: self = .refundBegun
      case .refunded: self = .refunded
      case .voided: self = .voided
      }
    }

    private static func ofStock(_ event: Recorded) throws -> Self {
      switch try Inventory.decode(event) {
      case .reserved: return .reserved
      case .unavailable(let event): return .unavailable(reason: event.reason)
      case .released, .reservationBarred: return .released
      default: throw UnknownEvent(type: event.type, schema: event.schema)
      }
    }

    private static func ofNotification(_ event: Recorded) throws -> Self {
      switch try Notifications.decode(event) {
      case .sent: return .told
      case .failed(let failure): return .notTold(reason: failure.reason)
      case .requested: throw UnknownEvent(type: event.type, schema: event.schema)
      }
    }
  }
}
