import EventSourcing
import Mongo

/// How a payment looks in MongoDB: money in minor units, times as dates, absent fields left out so
/// that the unique indexes on the keys, which are sparse, do not see them.
enum PaymentDocument {
  /// A stored payment that this code did not write.
  struct Unreadable: Error, CustomStringConvertible {
    var field: String
    var description: String { "a stored payment has no readable \(field)" }
  }

  static func encode(_ payment: PaymentRecord) -> BSONDocument {
    BSONDocument(capacity: 512) { writer in
      writer.append("_id", payment.id)
      writer.append("revision", payment.revision)
      writer.append("status", payment.status.rawValue)
      writer.appendIfPresent("key", payment.key)
      if let terms = payment.terms {
        writer.append("operation", terms.operation.rawValue)
        writer.append("order_id", terms.order)
        writer.append("user_id", terms.user)
        writer.append("amount", terms.amount.minorUnits)
        writer.append("currency", terms.amount.currency.rawValue)
        writer.appendIfPresent("payment_method", terms.method)
      }
      writer.appendIfPresent("paid_with", payment.paidWith)
      writer.appendIfPresent("card_ending", payment.cardEnding)
      writer.appendIfPresent("error_code", payment.decline?.rawValue)
      writer.appendIfPresent("transaction_id", payment.transactionID)
      writer.appendIfPresent("refund_id", payment.refundID)
      writer.appendIfPresent("refund_key", payment.refundKey)
      writer.appendIfPresent("created_at", payment.createdAt)
      writer.appendIfPresent("updated_at", payment.updatedAt)
      writer.appendIfPresent("processed_at", payment.processedAt)
      writer.appendIfPresent("undone_at", payment.undoneAt)
    }
  }

  static func decode(_ view: BSONView) throws -> PaymentRecord {
    var payment = PaymentRecord(
      id: try require(view["_id"]?.string, "_id"), key: view["key"]?.string,
      terms: try terms(view), createdAt: try require(view["created_at"]?.timestamp, "created_at"))
    payment.revision = try require(view["revision"]?.integer, "revision")
    payment.status = try require(
      view["status"]?.string.flatMap(PaymentRecord.Status.init(rawValue:)), "status")
    payment.updatedAt = try require(view["updated_at"]?.timestamp, "updated_at")
    payment.paidWith = view["paid_with"]?.string
    payment.cardEnding = view["card_ending"]?.string
    payment.decline = view["error_code"]?.string.flatMap(DeclineCode.init(rawValue:))
    payment.transactionID = view["transaction_id"]?.string
    payment.refundID = view["refund_id"]?.string
    payment.refundKey = view["refund_key"]?.string
    payment.processedAt = view["processed_at"]?.timestamp
    payment.undoneAt = view["undone_at"]?.timestamp
    return payment
  }

  private static func terms(_ view: BSONView) throws -> PaymentTerms? {
    guard let operation = view["operation"]?.string else { return nil }
    let currency = view["currency"]?.string.flatMap(Amount.Currency.init(rawValue:))
    return PaymentTerms(
      operation: try require(PaymentTerms.Operation(rawValue: operation), "operation"),
      order: try require(view["order_id"]?.reference, "order_id"),
      user: try require(view["user_id"]?.reference, "user_id"),
      amount: Amount(
        minorUnits: try require(view["amount"]?.integer, "amount"),
        currency: try require(currency, "currency")),
      method: view["payment_method"]?.string)
  }

  private static func require<Value>(
    _ value: Value?, _ field: String
  ) throws(Unreadable) -> Value {
    guard let value else { throw Unreadable(field: field) }
    return value
  }
}

extension BSONView.Element {
  fileprivate var timestamp: Timestamp? {
    guard case .dateTime(let milliseconds) = self else { return nil }
    return Timestamp(millisecondsSinceEpoch: milliseconds)
  }

  fileprivate var reference: Reference? {
    switch self {
    case .string(let text): .text(text)
    default: integer.map(Reference.number)
    }
  }
}

extension BSONWriter {
  mutating func append(_ key: String, _ reference: Reference) {
    switch reference {
    case .number(let number): append(key, number)
    case .text(let text): append(key, text)
    }
  }

  fileprivate mutating func appendIfPresent(_ key: String, _ text: String?) {
    if let text { append(key, text) }
  }

  fileprivate mutating func appendIfPresent(_ key: String, _ time: Timestamp?) {
    if let time { append(key, millisecondsSinceEpoch: time.millisecondsSinceEpoch) }
  }
}
