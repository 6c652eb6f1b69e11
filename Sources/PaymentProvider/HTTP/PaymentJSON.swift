import EventSourcing
import HTTPTypes
import Hummingbird

extension PaymentRecord {
  /// What processing a payment answers, paid or not.
  var processingAnswer: Fields {
    var fields: Fields = [
      "order_id": terms?.order.value ?? .null, "payment_id": .string(id),
      "is_paid": .bool(isPaid), "status": .string(status.rawValue),
    ]
    if let transactionID { fields["transaction_id"] = .string(transactionID) }
    return fields
  }

  /// What `GET /charges` says of a payment: what processing it answered, or would answer now.
  var chargeAnswer: Fields {
    var fields = processingAnswer
    if let decline {
      fields["error_code"] = .string(decline.rawValue)
      fields["detail"] = .string(decline.reason)
    }
    return fields
  }

  /// What undoing a payment answers: `refunded` with the amount, or `nothing_charged`.
  var refundAnswer: Fields {
    var fields: Fields = [
      "payment_id": .string(id), "order_id": terms?.order.value ?? .null,
    ]
    if let refundID, let refunded {
      fields["refund_id"] = .string(refundID)
      fields["status"] = "refunded"
      fields["refunded_amount"] = refunded.value
      fields["currency"] = .string(refunded.currency.rawValue)
    } else {
      fields["status"] = "nothing_charged"
    }
    return fields
  }

  /// The whole payment, as `GET /payments/{id}` shows it.
  var json: Fields {
    func text(_ string: String?) -> Value { string.map(Value.string) ?? .null }
    func time(_ timestamp: Timestamp?) -> Value { text(timestamp?.iso8601) }
    return [
      "id": .string(id), "payment_id": .string(id),
      "order_id": terms?.order.value ?? .null, "user_id": terms?.user.value ?? .null,
      "total_amount": terms?.amount.value ?? .null,
      "currency": text(terms?.amount.currency.rawValue),
      "is_paid": .bool(isPaid), "status": .string(status.rawValue),
      "error_code": text(decline?.rawValue),
      "captured_amount": captured?.value ?? 0, "refunded_amount": refunded?.value ?? 0,
      "payment_method": text(paidWith ?? terms?.method), "card_ending": text(cardEnding),
      "transaction_id": text(transactionID), "refund_id": text(refundID),
      "idempotency_key": text(key), "refund_idempotency_key": text(refundKey),
      "created_at": time(createdAt), "processed_at": time(processedAt),
      "undone_at": time(undoneAt), "updated_at": time(updatedAt),
    ]
  }
}

extension LedgerSummary {
  /// Amounts never mix currencies: there are totals for each, and counts over all.
  var json: Fields {
    var currencies = Fields()
    for currency in Amount.Currency.allCases {
      guard let totals = totals[currency] else { continue }
      func amount(_ minorUnits: Int64) -> Value {
        Amount(minorUnits: minorUnits, currency: currency).value
      }
      currencies[currency.rawValue] = .object([
        "captured": amount(totals.captured), "refunded": amount(totals.refunded),
        "net": amount(totals.net), "captures": .integer(totals.captures),
        "refunds": .integer(totals.refunds),
      ])
    }
    var counted = Fields()
    for status in PaymentRecord.Status.allCases {
      counted[status.rawValue] = .integer(counts[status] ?? 0)
    }
    counted["total"] = .integer(counts.values.reduce(0, +))
    return ["by_currency": .object(currencies), "counts": .object(counted)]
  }
}

extension Simulator.Settings {
  var json: Fields {
    [
      "latency_ms": .integer(latencyMilliseconds),
      "failure_rate": Value.decimal(failureRate.value),
      "failure_codes": .array(failureCodes.map { .string($0.rawValue) }),
    ]
  }
}

extension Response {
  static func json(
    _ fields: Fields, status: HTTPResponse.Status = .ok, mediaType: String = "application/json"
  ) -> Response {
    Response(
      status: status, headers: [.contentType: mediaType],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: JSONWriter.bytes(.object(fields)))))
  }

  /// 201 for the request that did the work, 200 with a mark for one that came again.
  static func made(_ fields: Fields, isRepeated: Bool) -> Response {
    var response = Response.json(fields, status: isRepeated ? .ok : .created)
    if isRepeated { response.headers[.idempotentReplayed] = "true" }
    return response
  }
}

extension HTTPField.Name {
  static let idempotentReplayed = HTTPField.Name.known("Idempotent-Replayed")
  static let idempotencyKey = HTTPField.Name.known("Idempotency-Key")

  /// For names that are written in this code: an illegal one is a mistake in it.
  private static func known(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else {
      preconditionFailure("\(name) is not the name of a header")
    }
    return name
  }
}
