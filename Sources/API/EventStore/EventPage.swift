import EventSourcing
import Hummingbird

/// One page of the log's events, as the caller asked for it.
///
/// Without `after` the newest events come first; with it, the events behind that position in the
/// log's order, so that a reader can follow the log. `order=asc|desc` says otherwise.
struct EventPage {
  static let limitDefault = 100
  static let limitMax = 1000
  static let offsetMax: Int64 = 10_000

  let query: EventQuery
  private(set) var events: [Recorded] = []
  private(set) var hasMore = false
  /// Everything up to here was looked at.
  private(set) var position = Position.start

  init(_ filter: EventQuery.Filter, _ parameters: QueryParameters) throws(FieldError) {
    let after = try parameters.integer("after").map { Position($0) }
    let isDescending: Bool
    switch try parameters.string("order") {
    case nil: isDescending = after == nil
    case "asc": isDescending = false
    case "desc": isDescending = true
    default: throw FieldError("order", .invalid("must be asc or desc"))
    }
    query = EventQuery(
      filter, after: after, isDescending: isDescending,
      offset: Int(try parameters.integer("offset", in: 0...Self.offsetMax) ?? 0),
      limit: try parameters.limit(default: Self.limitDefault, max: Self.limitMax))
  }

  func read(from log: any EventLog) async throws -> EventPage {
    var page = self
    page.position = try await log.head()
    var oneMore = query
    oneMore.limit += 1
    let found = try await log.events(matching: oneMore)
    page.events = Array(found.prefix(query.limit))
    page.hasMore = found.count > query.limit
    return page
  }

  /// The events, their number, and where the next page starts.
  var fields: Fields {
    [
      "events": .array(events.map(\.envelope)), "count": .integer(Int64(events.count)),
      "limit": .integer(Int64(query.limit)), "offset": .integer(Int64(query.offset)),
      "order": .string(query.isDescending ? "desc" : "asc"),
      "next_after": hasMore ? .optional(events.last?.position.rawValue) : .null,
    ]
  }
}
