import EventSourcing
import Foundation

/// What was agreed to be paid. Two requests with one idempotency key must carry equal terms.
public struct PaymentTerms: Sendable, Hashable {
  /// The request that made the payment. A key used for one does not serve for the other.
  public enum Operation: String, Sendable {
    case payment
    case charge
  }

  public var operation: Operation
  public var order: Reference
  public var user: Reference
  public var amount: Amount
  public var method: String?

  public init(
    operation: Operation, order: Reference, user: Reference, amount: Amount, method: String?
  ) {
    self.operation = operation
    self.order = order
    self.user = user
    self.amount = amount
    self.method = method
  }
}

/// One payment in the ledger, and every state it may take:
///
///     created ──► captured ──► refunded
///        ├──────► declined
///        └──────► voided          (also a tombstone: a key undone before it was ever used)
///
/// The functions here are pure. A ledger stores the result only if the payment is still at the
/// revision that the change was made from.
public struct PaymentRecord: Sendable, Hashable {
  public enum Status: String, Sendable, CaseIterable {
    case created, captured, declined, refunded, voided
  }

  public let id: String
  /// The idempotency key of the request that made the payment. Unique in the ledger.
  public let key: String?
  /// Nil for a tombstone: nobody ever asked for this payment, and nobody will get it.
  public let terms: PaymentTerms?
  public let createdAt: Timestamp
  public var status: Status
  public var updatedAt: Timestamp
  /// Rises by one with every change.
  public var revision: Int64
  public var paidWith: String?
  public var cardEnding: String?
  public var decline: DeclineCode?
  public var transactionID: String?
  public var processedAt: Timestamp?
  public var refundID: String?
  /// The idempotency key of the first request that undid this payment. Unique in the ledger.
  public var refundKey: String?
  public var undoneAt: Timestamp?

  /// A payment that has not been processed.
  public init(terms: PaymentTerms, key: String?, at time: Timestamp) {
    self.init(id: "pay_" + UUID.timeOrdered(at: time).text, key: key, terms: terms, createdAt: time)
  }

  /// For ledgers that read a stored payment: sets what never changes; the rest is assigned.
  public init(id: String, key: String?, terms: PaymentTerms?, createdAt: Timestamp) {
    self.id = id
    self.key = key
    self.terms = terms
    self.createdAt = createdAt
    status = .created
    updatedAt = createdAt
    revision = 1
  }

  /// Takes the place of a charge that has not come: when it does, it is refused.
  public static func tombstone(
    key: String, refundKey: String, at time: Timestamp
  ) -> PaymentRecord {
    let id = "pay_" + UUID.timeOrdered(at: time).text
    var record = PaymentRecord(id: id, key: key, terms: nil, createdAt: time)
    record.status = .voided
    record.refundKey = refundKey
    record.undoneAt = time
    return record
  }

  public var isPaid: Bool { status == .captured }

  /// What was taken from the payer, refunded since or not.
  public var captured: Amount? {
    guard let terms else { return nil }
    return transactionID == nil ? .zero(terms.amount.currency) : terms.amount
  }

  public var refunded: Amount? {
    guard let terms else { return nil }
    return refundID == nil ? .zero(terms.amount.currency) : terms.amount
  }
}

extension PaymentRecord {
  /// Captures or declines a payment that is `created`; any other is left as it is.
  mutating func process(
    _ outcome: ProcessingOutcome, with instrument: Instrument, at time: Timestamp
  ) {
    guard status == .created else { return }
    paidWith = instrument.methodName
    cardEnding = instrument.cardEnding
    processedAt = time
    switch outcome {
    case .capture:
      status = .captured
      transactionID = "txn_" + UUID.timeOrdered(at: time).text
    case .decline(let code):
      status = .declined
      decline = code
    }
    updatedAt = time
  }

  /// Gives back what was captured, or makes sure that nothing ever will be.
  ///
  /// Answers whether anything changed. Never refuses: an undo may come before, after or instead of
  /// what it undoes, and more than once.
  mutating func undo(refundKey: String?, at time: Timestamp) -> Bool {
    switch status {
    case .captured:
      status = .refunded
      refundID = "refund_" + UUID.timeOrdered(at: time).text
    case .created:
      status = .voided
    case .declined:
      // Nothing to undo, but the key of the first request is kept: it names this payment now.
      guard self.refundKey == nil, refundKey != nil else { return false }
    case .refunded, .voided:
      return false
    }
    self.refundKey = refundKey
    undoneAt = time
    updatedAt = time
    return true
  }
}
