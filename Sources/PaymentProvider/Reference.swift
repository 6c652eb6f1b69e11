import EventSourcing

/// The caller's own name for an order or a user. A provider does not read it: it gives it back as it
/// came, a number or a text.
public enum Reference: Sendable, Hashable, CustomStringConvertible {
  case number(Int64)
  case text(String)

  public var description: String {
    switch self {
    case .number(let number): String(number)
    case .text(let text): text
    }
  }

  public var value: Value {
    switch self {
    case .number(let number): .integer(number)
    case .text(let text): .string(text)
    }
  }

  /// Every reference that is written as `text` in a query: `7` is both the number and the text.
  public static func all(writtenAs text: String) -> [Reference] {
    guard let number = Int64(text), String(number) == text else { return [.text(text)] }
    return [.text(text), .number(number)]
  }
}

extension Fields {
  /// A positive integer, or 1 to 64 letters, digits, `_` or `-`.
  func reference(_ key: String) throws(FieldError) -> Reference {
    switch try value(key) {
    case .integer(let number):
      guard number > 0 else { throw FieldError(key, .invalid("must be more than 0")) }
      return .number(number)
    case .string(let text):
      guard StreamName.isLegal(text) else {
        throw FieldError(key, .invalid("must be 1 to 64 letters, digits, '_' or '-'"))
      }
      return .text(text)
    case let other:
      throw FieldError(key, .wrongType(expected: "an integer or a string", found: other.kind))
    }
  }
}
