/// An ordered object: the data of an event, a row, a JSON object. Keys are unique.
///
/// Looked up linearly: objects here hold a dozen keys at most on hot paths.
public struct Fields: Sendable, Hashable, ExpressibleByDictionaryLiteral {
  public struct Entry: Sendable, Hashable {
    public var key: String
    public var value: Value

    @inlinable public init(key: String, value: Value) {
      self.key = key
      self.value = value
    }
  }

  public private(set) var entries: [Entry]

  public init() { entries = [] }

  /// Later values replace earlier ones of the same key.
  public init(_ pairs: [(String, Value)]) {
    entries = []
    entries.reserveCapacity(pairs.count)
    for (key, value) in pairs { self[key] = value }
  }

  public init(dictionaryLiteral elements: (String, Value)...) { self.init(elements) }

  /// Takes entries whose keys are known to be unique (decoders that checked, writers that know).
  public init(uniqueEntries: [Entry]) { entries = uniqueEntries }

  public var isEmpty: Bool { entries.isEmpty }
  public var count: Int { entries.count }
  public var keys: [String] { entries.map(\.key) }

  /// Setting nil removes the key; setting a new key appends it.
  public subscript(key: String) -> Value? {
    get { entries.first { $0.key == key }?.value }
    set {
      let index = entries.firstIndex { $0.key == key }
      switch (index, newValue) {
      case (let index?, let value?): entries[index].value = value
      case (let index?, nil): entries.remove(at: index)
      case (nil, let value?): entries.append(Entry(key: key, value: value))
      case (nil, nil): break
      }
    }
  }

  /// Equality ignores the order of keys at this level.
  public static func == (left: Fields, right: Fields) -> Bool {
    if left.entries == right.entries { return true }
    guard left.count == right.count else { return false }
    return left.entries.allSatisfy { right[$0.key] == $0.value }
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(entries.count)
    var keys = 0
    for entry in entries { keys ^= entry.key.hashValue }
    hasher.combine(keys)
  }
}

/// What is wrong with one field of a body, an event's data or a row.
public struct FieldError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Problem: Sendable, Hashable {
    case missing
    case unknown
    case wrongType(expected: String, found: String)
    case invalid(String)
  }

  /// A path as in `items[0].quantity`.
  public var field: String
  public var problem: Problem

  public init(_ field: String, _ problem: Problem) {
    self.field = field
    self.problem = problem
  }

  public var description: String {
    switch problem {
    case .missing: "\(field) is required"
    case .unknown: "\(field) is not a known field"
    case .wrongType(let expected, let found): "\(field) must be \(expected), not \(found)"
    case .invalid(let reason): "\(field) \(reason)"
    }
  }

  /// The same error one level up: `quantity` becomes `items[0].quantity`.
  public func nested(in parent: String) -> FieldError {
    FieldError(field.hasPrefix("[") ? parent + field : "\(parent).\(field)", problem)
  }
}

/// Typed access. The plain forms throw ``FieldError`` when the key is missing, null or of another
/// type; the `…IfPresent` forms answer nil for missing and null, and throw for another type.
extension Fields {
  public func value(_ key: String) throws(FieldError) -> Value {
    guard let value = self[key], value != .null else { throw FieldError(key, .missing) }
    return value
  }

  public func string(_ key: String) throws(FieldError) -> String {
    let value = try value(key)
    guard case .string(let string) = value else {
      throw FieldError(key, .wrongType(expected: "a string", found: value.kind))
    }
    return string
  }

  public func integer(_ key: String) throws(FieldError) -> Int64 {
    let value = try value(key)
    guard case .integer(let integer) = value else {
      throw FieldError(key, .wrongType(expected: "an integer", found: value.kind))
    }
    return integer
  }

  public func bool(_ key: String) throws(FieldError) -> Bool {
    let value = try value(key)
    guard case .bool(let bool) = value else {
      throw FieldError(key, .wrongType(expected: "a boolean", found: value.kind))
    }
    return bool
  }

  public func decimal(_ key: String) throws(FieldError) -> FixedDecimal {
    let value = try value(key)
    guard let decimal = value.decimalValue else {
      throw FieldError(key, .wrongType(expected: "a number", found: value.kind))
    }
    return decimal
  }

  public func object(_ key: String) throws(FieldError) -> Fields {
    let value = try value(key)
    guard case .object(let fields) = value else {
      throw FieldError(key, .wrongType(expected: "an object", found: value.kind))
    }
    return fields
  }

  public func array(_ key: String) throws(FieldError) -> [Value] {
    let value = try value(key)
    guard case .array(let values) = value else {
      throw FieldError(key, .wrongType(expected: "an array", found: value.kind))
    }
    return values
  }

  /// An array of objects, each decoded by `decode`; errors name the element.
  public func objects<T>(_ key: String, decode: (Fields) throws -> T) throws -> [T] {
    var decoded: [T] = []
    for (index, value) in try array(key).enumerated() {
      guard case .object(let fields) = value else {
        throw FieldError(
          "\(key)[\(index)]", .wrongType(expected: "an object", found: value.kind))
      }
      do {
        decoded.append(try decode(fields))
      } catch let error as FieldError {
        throw error.nested(in: "\(key)[\(index)]")
      }
    }
    return decoded
  }

  private func has(_ key: String) -> Bool {
    if let value = self[key] { value != .null } else { false }
  }

  public func stringIfPresent(_ key: String) throws(FieldError) -> String? {
    has(key) ? try string(key) : nil
  }
  public func integerIfPresent(_ key: String) throws(FieldError) -> Int64? {
    has(key) ? try integer(key) : nil
  }
  public func boolIfPresent(_ key: String) throws(FieldError) -> Bool? {
    has(key) ? try bool(key) : nil
  }
  public func decimalIfPresent(_ key: String) throws(FieldError) -> FixedDecimal? {
    has(key) ? try decimal(key) : nil
  }
  public func objectIfPresent(_ key: String) throws(FieldError) -> Fields? {
    has(key) ? try object(key) : nil
  }
  public func timestamp(_ key: String) throws(FieldError) -> Timestamp {
    let text = try string(key)
    guard let timestamp = Timestamp(iso8601: text) else {
      throw FieldError(key, .invalid("must be an ISO 8601 time such as 2026-01-01T00:00:00Z"))
    }
    return timestamp
  }
  public func timestampIfPresent(_ key: String) throws(FieldError) -> Timestamp? {
    has(key) ? try timestamp(key) : nil
  }

  /// Throws for the first key that is not in `known`.
  public func refuseUnknownFields(known: Set<String>) throws(FieldError) {
    for entry in entries where !known.contains(entry.key) {
      throw FieldError(entry.key, .unknown)
    }
  }
}
