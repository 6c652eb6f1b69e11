import EventSourcing
import Hummingbird
import Projections

/// The envelope of a query's answer, or 304 for a caller who has that answer.
struct QueryEnvelope {
  let request: Request

  func one<Source>(
    _ data: Fields, of answer: QueryAnswer<Source>, asOf: PastOrder.AsOf? = nil
  ) -> Response {
    send(answer) {
      var fields = Self.envelope(.object(data), count: 1)
      fields["as_of"] = asOf.map { .object($0.fields) }
      return fields
    }
  }

  func page(_ page: QueryPage, of answer: QueryAnswer<QueryPage>) -> Response {
    send(answer) { Self.envelope(page) }
  }

  func page(_ past: PastOrders.Page, of answer: QueryAnswer<PastOrders.Page>) -> Response {
    send(answer) {
      var fields = Self.envelope(past.page)
      fields["as_of"] = past.asOf.map { .object($0.fields) } ?? .null
      return fields
    }
  }

  /// Fields of its own shape, as the sagas' answers have them.
  func send<Source>(_ answer: QueryAnswer<Source>, _ fields: () -> Fields) -> Response {
    .json(for: request, tag: EntityTag(opaque: answer.mark), position: answer.position) {
      .object(fields())
    }
  }

  private static func envelope(_ page: QueryPage) -> Fields {
    var fields = envelope(.array(page.rows.map(Value.object)), count: Int64(page.rows.count))
    fields["next_cursor"] = .optional(page.next?.token)
    return fields
  }

  private static func envelope(_ data: Value, count: Int64) -> Fields {
    [
      "success": true, "query_id": .string(CommandID.random().description), "data": data,
      "count": .integer(count), "error": .null,
    ]
  }
}

extension PastOrder.AsOf {
  fileprivate var fields: Fields {
    var fields: Fields = [
      "position": .integer(position.rawValue), "timestamp": .string(timestamp.iso8601),
    ]
    fields["version"] = version.map { .integer($0.rawValue) }
    return fields
  }
}
