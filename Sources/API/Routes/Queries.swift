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
  let choreographies: ChoreographyQueries
  let sagaLists: SagaLists
  let waitMax: Duration

  init(reader: ReadModelReader, log: any EventLog, waitMax: Duration) {
    orders = OrderQueries(reader: reader)
    past = PastOrders(reader: reader, log: log)
    stock = StockQueries(reader: reader)
    statistics = StatisticsQueries(reader: reader)
    users = UserSummaryQueries(reader: reader)
    sagas = SagaQueries(reader: reader)
    choreographies = ChoreographyQueries(reader: reader)
    sagaLists = SagaLists(reader: reader, choreographies: choreographies)
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
