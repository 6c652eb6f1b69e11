import EventSourcing
import Hummingbird
import Projections

/// The read models, and the demand that a request makes on how much they must have seen.
struct Queries: Sendable {
  static let limitDefault = 50
  static let limitMax = 200

  let orders: OrderQueries
  let past: PastOrders
  let stock: StockQueries
  let statistics: StatisticsQueries
  let users: UserSummaryQueries
  let sagas: SagaQueries
  let waitMax: Duration

  init(reader: ReadModelReader, log: any EventLog, waitMax: Duration) {
    orders = OrderQueries(reader: reader)
    past = PastOrders(reader: reader, log: log)
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
    throw Problem.behind("the read model", at: answer.position, before: minimum)
  }
}

extension Problem {
  static func behind(
    _ source: String, at position: Position, before minimum: Position
  ) -> Problem {
    Problem(
      .readModelBehind, "\(source) stands at position \(position), not yet at \(minimum)",
      field: "min_position", members: ["position": .integer(position.rawValue)],
      headers: [.retryAfter: "1", .magasinPosition: position.description])
  }
}

/// What a query for one row demands.
struct RowRequest {
  let minimum: Position?

  /// - Throws: also when the past is asked for, of which this query has none.
  init(_ request: Request) throws {
    try QueryParameters(request).refuse("at", "version", because: PastRequest.onlyOrders)
    minimum = try Queries.minimumPosition(request)
  }
}

/// The page that a list's parameters ask for.
struct PageRequest {
  let limit: Int
  let cursor: PageCursor?
  let minimum: Position?

  /// - Throws: also when the past is asked for, of which this list has none.
  init(_ request: Request) throws {
    try QueryParameters(request).refuse("at", "version", because: PastRequest.onlyOrders)
    try self.init(request, by: .number)
  }

  fileprivate init(_ request: Request, by key: QueryParameters.SortKey) throws {
    let parameters = QueryParameters(request)
    limit = try parameters.limit(default: Queries.limitDefault, max: Queries.limitMax)
    cursor = try parameters.cursor(by: key)
    minimum = try Queries.minimumPosition(request)
  }
}

/// The moment of the past that a query asks for.
enum PastRequest {
  case version(Version)
  case time(Timestamp)

  fileprivate static let onlyOrders =
    "the past is shown of a single order, of recent orders and of a customer's"

  /// Nil when the present is asked for.
  static func order(_ request: Request) throws -> PastRequest? {
    let parameters = QueryParameters(request)
    let version = try parameters.integer("version", in: 1...positionMax).map { Version($0) }
    guard let time = try parameters.timestamp("at") else { return version.map(PastRequest.version) }
    try parameters.refuse("version", because: "at names the moment already")
    return .time(time)
  }

  /// The moment, and the page of what was there then. Nil when the present is asked for.
  static func list(_ request: Request) throws -> (time: Timestamp, page: PageRequest)? {
    let parameters = QueryParameters(request)
    try parameters.refuse("version", because: "a list has none; at names a moment")
    guard let time = try parameters.timestamp("at") else { return nil }
    return (time, try PageRequest(request, by: .time))
  }
}

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
