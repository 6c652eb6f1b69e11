import EventSourcing

extension OrderFulfilment {
  /// The rules of a saga. It keeps those that it began with.
  public enum Definition: String, Sendable, Hashable, CaseIterable {
    /// No timers; stock and order do not wait for a payment whose outcome is unknown.
    case v1 = "order-fulfilment.v1"
    /// Deadlines by timers, holds that outlive the payment, and strict reverse order: the order is
    /// cancelled when everything else is undone, not before.
    case v2 = "order-fulfilment.v2"

    public static let current = Definition.v2

    var hasDeadlines: Bool { self != .v1 }
    /// Whether what may be charged is undone before anything else is, and not beside it.
    var waitsForOpenPayment: Bool { self != .v1 }
  }

  /// Durations in seconds that a saga begins with.
  public struct Settings: Sendable, Hashable {
    public static let paymentDeadlineKey = "payment_deadline_seconds"
    public static let holdKey = "hold_seconds"

    /// How long the provider may take.
    public var paymentDeadlineSeconds: Int64
    /// How long stock is held to begin with.
    public var holdSeconds: Int64

    public init(paymentDeadlineSeconds: Int64 = 60, holdSeconds: Int64 = 900) {
      self.paymentDeadlineSeconds = paymentDeadlineSeconds
      self.holdSeconds = max(holdSeconds, paymentDeadlineSeconds + Self.beyondPaymentSeconds)
    }

    /// A hold lasts so much longer than the payment that it protects.
    static let beyondPaymentSeconds: Int64 = 300

    init(_ settings: [String: Int64]) {
      self.init(
        paymentDeadlineSeconds: settings[Self.paymentDeadlineKey] ?? 60,
        holdSeconds: settings[Self.holdKey] ?? 900)
    }

    init(fields: Fields) throws {
      self.init(
        paymentDeadlineSeconds: try fields.integer(Self.paymentDeadlineKey),
        holdSeconds: try fields.integer(Self.holdKey))
    }

    var fields: Fields {
      [
        Self.paymentDeadlineKey: .integer(paymentDeadlineSeconds),
        Self.holdKey: .integer(holdSeconds),
      ]
    }
  }
}
