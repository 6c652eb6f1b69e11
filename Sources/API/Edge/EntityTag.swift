import EventSourcing
import HTTPTypes
import Hummingbird

/// Names what an answer shows (RFC 9110, 8.8.3). Always weak: two answers that show the same differ
/// in their `query_id`.
struct EntityTag {
  /// Visible ASCII without quotation marks.
  let opaque: String

  var header: String { "W/\"\(opaque)\"" }

  /// Whether an `If-None-Match` names this tag. Compared weakly, as RFC 9110, 13.1.2 has it; what is
  /// no list of tags names none.
  func isNamed(by condition: String) -> Bool {
    var rest = condition.drop(while: Self.isSpace)
    if rest.first == "*" { return rest.dropFirst().allSatisfy(Self.isSpace) }
    while true {
      rest = rest.drop { Self.isSpace($0) || $0 == "," }
      if rest.hasPrefix("W/") { rest = rest.dropFirst(2) }
      guard rest.first == "\"" else { return false }
      rest = rest.dropFirst()
      guard let end = rest.firstIndex(of: "\"") else { return false }
      if rest[..<end] == opaque { return true }
      rest = rest[end...].dropFirst().drop(while: Self.isSpace)
      guard rest.first == "," else { return false }
    }
  }

  private static func isSpace(_ character: Character) -> Bool {
    character == " " || character == "\t"
  }
}

extension Response {
  /// A JSON answer that caches may keep if they ask each time whether it still holds. A caller who
  /// has it already (`If-None-Match`) gets 304 and no body; the body is made only when it is sent.
  static func json(
    for request: Request, tag: EntityTag, position: Position, _ body: () -> Value
  ) -> Response {
    let headers: HTTPFields = [
      .entityTag: tag.header, .cacheControl: "private, no-cache",
    ]
    if let condition = request.headers.value(of: .ifNoneMatch), tag.isNamed(by: condition) {
      var headers = headers
      headers.append(HTTPField(name: .magasinPosition, value: position.description))
      return Response(status: .notModified, headers: headers)
    }
    return .json(body(), position: position, headers: headers)
  }
}
