import EventSourcing
import Hummingbird
import Projections

/// The read models, and the demand that a request makes on how much they must have seen.
struct Queries: Sendable {
  static let limitDefault = 50
  static let limitMax = 200

  let orders: OrderQueries
  let stock: StockQueries
  let statistics: StatisticsQueries
  let users: UserSummaryQueries
  let sagas: SagaQueries
  let waitMax: Duration

  init(reader: ReadModelReader, waitMax: Duration) {
    orders = OrderQueries(reader: reader)
    stock = StockQueries(reader: reader)
    statistics = StatisticsQueries(reader: reader)
    users = UserSummaryQueries(reader: reader)
    sagas = SagaQueries(reader: reader)
    self.waitMax = waitMax
  }

  /// The position that the answer must have seen: `min_position` in the query, or the
  /// `Magasin-Position` header that an earlier answer came with.
  static func minimumPosition(_ request: Request) throws(FieldError) -> Position? {
    if let number = try QueryParameters(request).integer("min_position") {
      return Position(number)
    }
    guard let header = request.headers.value(of: .magasinPosition) else { return nil }
    guard let number = Int64(header), (0...positionMax).contains(number) else {
      throw FieldError("Magasin-Position", .invalid("must be a position of the log"))
    }
    return Position(number)
  }

  /// What a query read, unless it is older than what was asked for: reading one's own writes is
  /// exact, or it is an honest 503.
  static func fresh<Value>(
    _ answer: QueryAnswer<Value>, _ minimum: Position?
  ) throws -> Value {
    guard let minimum, answer.position < minimum else { return answer.value }
    throw Problem(
      .readModelBehind,
      "the read model stands at position \(answer.position), not yet at \(minimum)",
      field: "min_position", members: ["position": .integer(answer.position.rawValue)],
      headers: [.retryAfter: "1", .magasinPosition: answer.position.description])
  }
}

/// The page that a list's parameters ask for.
struct PageRequest {
  var limit: Int
  var cursor: PageCursor?
  var minimum: Position?

  init(_ request: Request) throws {
    let parameters = QueryParameters(request)
    limit = try parameters.limit(default: Queries.limitDefault, max: Queries.limitMax)
    cursor = try parameters.cursor()
    minimum = try Queries.minimumPosition(request)
  }
}

/// The envelope of a query's answer.
enum QueryEnvelope {
  static func one(_ data: Fields, at position: Position) -> Response {
    .json(.object(envelope(.object(data), count: 1)), position: position)
  }

  static func page(_ page: QueryPage, at position: Position) -> Response {
    var fields = envelope(
      .array(page.rows.map(Value.object)), count: Int64(page.rows.count))
    fields["next_cursor"] = .optional(page.next?.token)
    return .json(.object(fields), position: position)
  }

  private static func envelope(_ data: Value, count: Int64) -> Fields {
    [
      "success": true, "query_id": .string(CommandID.random().description), "data": data,
      "count": .integer(count), "error": .null,
    ]
  }
}
