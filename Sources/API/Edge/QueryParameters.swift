import EventSourcing
import Hummingbird

/// Typed access to the part of the URI after `?`. Errors are those of a body's fields.
///
/// Parameters that a route does not know are ignored, as is usual on the web.
struct QueryParameters {
  private let parameters: Parameters

  init(_ request: Request) { parameters = request.uri.queryParameters }

  /// The text, nil when the parameter is absent or empty.
  func string(_ name: String) throws(FieldError) -> String? {
    guard let text = parameters[name[...]], !text.isEmpty else { return nil }
    guard parameters.count(where: { $0.key == name }) == 1 else {
      throw FieldError(name, .invalid("is given twice"))
    }
    return String(text)
  }

  func integer(
    _ name: String, in range: ClosedRange<Int64> = 0...positionMax
  ) throws(FieldError) -> Int64? {
    guard let text = try string(name) else { return nil }
    guard let number = Int64(text), text.first != "+" else {
      throw FieldError(name, .wrongType(expected: "an integer", found: "\"\(text.prefix(40))\""))
    }
    guard range.contains(number) else {
      throw FieldError(name, .invalid(Self.sentence(range)))
    }
    return number
  }

  func timestamp(_ name: String) throws(FieldError) -> Timestamp? {
    guard let text = try string(name) else { return nil }
    guard let time = Timestamp(iso8601: text) else {
      throw FieldError(name, .invalid("must be an ISO 8601 time such as 2026-01-01T00:00:00Z"))
    }
    return time
  }

  /// 1 to 64 letters, digits, `_` or `-`.
  func identifier(_ name: String) throws(FieldError) -> String? {
    guard let text = try string(name) else { return nil }
    guard StreamName.isLegal(text) else { throw FieldError(name, .invalid(illegalIdentifier)) }
    return text
  }

  func limit(default standard: Int, max: Int) throws(FieldError) -> Int {
    Int(try integer("limit", in: 1...Int64(max)) ?? Int64(standard))
  }

  /// What a list is sorted by: every cursor of it holds one such value.
  enum SortKey {
    case number
    case time
    /// The list goes by ids.
    case id

    fileprivate func fits(_ value: Value) -> Bool {
      switch self {
      case .number: value.integerValue != nil
      case .id: value == .null
      case .time: value.stringValue.map { Timestamp(iso8601: $0)?.iso8601 == $0 } ?? false
      }
    }
  }

  /// Where a page starts, from the `next_cursor` of the page before.
  func cursor(by key: SortKey) throws(FieldError) -> PageCursor? {
    guard let token = try string("cursor") else { return nil }
    guard let cursor = PageCursor(token: token) else {
      throw FieldError("cursor", .invalid("is not the next_cursor of an earlier answer"))
    }
    guard key.fits(cursor.sortValue) else {
      throw FieldError("cursor", .wrongType(expected: "a cursor of this list", found: "another's"))
    }
    return cursor
  }

  /// Refuses parameters that mean something elsewhere and would be silently ignored here.
  func refuse(_ names: String..., because reason: String) throws {
    for name in names where try string(name) != nil {
      throw Problem(.unsupported, "\(name) is not taken here: \(reason)", field: name)
    }
  }

  private static func sentence(_ range: ClosedRange<Int64>) -> String {
    range.upperBound == positionMax
      ? "must be at least \(range.lowerBound)"
      : "must be between \(range.lowerBound) and \(range.upperBound)"
  }
}

/// The greatest position or version that a caller may name.
let positionMax = Position.max.rawValue

let illegalIdentifier = "must be 1 to 64 letters, digits, _ or -"

extension APIContext {
  /// A path parameter that is a legal identifier.
  func identifier(_ name: String) throws(FieldError) -> String {
    guard let text = parameters.get(name) else { throw FieldError(name, .missing) }
    guard StreamName.isLegal(text) else { throw FieldError(name, .invalid(illegalIdentifier)) }
    return text
  }
}
