import EventSourcing

/// The provider's own books: every payment once, and nothing that is not durable.
///
/// A ledger is a small store with two promises. A change is durable before the call returns. And of
/// several callers that change one payment, or use one key, exactly one wins; the others are told.
/// The rules of payments live in ``PaymentRecord`` and are the same over every ledger.
///
/// Every function throws ``LedgerUnavailable`` when the outcome is not known.
public protocol PaymentLedger: Sendable {
  /// Makes ready what the ledger needs: indexes. Called once before the server listens.
  func prepare() async throws

  /// Whether the ledger can answer now.
  func ping() async throws

  /// Stores a payment, unless its key or its refund key is taken.
  func insert(_ payment: PaymentRecord) async throws -> LedgerInsertion

  /// Stores a changed payment if the stored one still has `payment.revision`, and raises the
  /// revision by one.
  func replace(_ payment: PaymentRecord) async throws -> LedgerReplacement

  func payment(id: String) async throws -> PaymentRecord?
  func payment(key: String) async throws -> PaymentRecord?
  func payment(refundKey: String) async throws -> PaymentRecord?

  /// The newest payments first.
  func payments(_ query: PaymentQuery) async throws -> [PaymentRecord]

  func summary() async throws -> LedgerSummary
}

public enum LedgerInsertion: Sendable, Hashable {
  case inserted
  /// Another payment has the key: here it is, durable.
  case keyTaken(PaymentRecord)
  /// Another payment has the refund key: here it is, durable.
  case refundKeyTaken(PaymentRecord)
}

public enum LedgerReplacement: Sendable, Hashable {
  case replaced
  /// Someone else changed the payment first; that change is durable, and the next read sees it.
  case outdated
  case refundKeyTaken
}

public struct PaymentQuery: Sendable, Hashable {
  /// Payments of this order only, as the caller writes it.
  public var order: String?
  /// Payments older than the one with this id.
  public var before: String?
  /// How many at most.
  public var limit: Int

  public init(order: String? = nil, before: String? = nil, limit: Int = 50) {
    self.order = order
    self.before = before
    self.limit = limit
  }
}

/// What the whole ledger adds up to.
public struct LedgerSummary: Sendable, Hashable {
  public struct Totals: Sendable, Hashable {
    /// Minor units ever captured, refunded since or not.
    public var captured: Int64 = 0
    public var refunded: Int64 = 0
    public var captures: Int64 = 0
    public var refunds: Int64 = 0

    public init() {}

    public var net: Int64 { captured - refunded }
  }

  public var totals: [Amount.Currency: Totals] = [:]
  public var counts: [PaymentRecord.Status: Int64] = [:]

  public init() {}
}

/// The ledger could not be asked, or could not say whether a change was made. Sending the same
/// request with the same key again is safe.
public struct LedgerUnavailable: Error, Sendable, CustomStringConvertible {
  public var reason: String
  public init(reason: String) { self.reason = reason }
  public var description: String { "the ledger is unavailable: \(reason)" }
}
