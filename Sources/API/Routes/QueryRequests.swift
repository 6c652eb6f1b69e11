import EventSourcing
import Hummingbird

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
