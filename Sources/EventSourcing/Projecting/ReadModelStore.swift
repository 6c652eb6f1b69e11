/// Where rows, checkpoints and the pointers to serving collections are kept.
///
/// Two conformers: ``InMemoryReadModels`` and `MongoReadModels`.
public protocol ReadModelStore: Sendable {
  /// Creates the collection and its indexes when missing.
  func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws
  func drop(_ collection: String) async throws

  func load(_ ids: [String], from collection: String) async throws -> [String: StoredRow]
  /// Writes rows with absolute values. A stored row at the same or a later position stays as it
  /// is, so writing twice is writing once.
  func write(_ rows: [StoredRow], to collection: String) async throws
  func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow]
  /// All rows in the order of their ids.
  func rows(of collection: String, after id: String?, limit: Int) async throws -> [StoredRow]

  func progress(of projection: String) async throws -> ProjectionProgress?
  /// Replaces the progress when the stored one is still of `generation` (0: none stored) and not
  /// beyond the new position. False when it is not: somebody else moved it.
  func save(_ progress: ProjectionProgress, replacing generation: Int) async throws -> Bool

  /// Checkpoints of subscriptions that keep no rows. They only rise.
  func checkpoint(of subscription: String) async throws -> Position
  func saveCheckpoint(_ position: Position, of subscription: String) async throws
}

/// Which collection serves a projection, and how far it has come.
public struct ProjectionProgress: Sendable, Hashable {
  public var projection: String
  /// Counts rebuilds, from 1. `orders` of generation 2 is kept in `orders__v2`.
  public var generation: Int
  /// Everything up to here is in the rows.
  public var position: Position
  /// Why the projection has stopped, if it has.
  public var failure: String?

  public init(
    projection: String, generation: Int, position: Position, failure: String? = nil
  ) {
    self.projection = projection
    self.generation = generation
    self.position = position
    self.failure = failure
  }

  public var collection: String { Self.collection(projection, generation) }

  public static func collection(_ projection: String, _ generation: Int) -> String {
    "\(projection)__v\(generation)"
  }
}

/// Selects rows: equal fields, one range, one order (ties broken by id), one page.
public struct ReadModelQuery: Sendable {
  public struct Range: Sendable {
    public var field: String
    public var atLeast: Value?
    public var atMost: Value?

    public init(_ field: String, atLeast: Value? = nil, atMost: Value? = nil) {
      self.field = field
      self.atLeast = atLeast
      self.atMost = atMost
    }
  }

  public var equals: Fields
  public var range: Range?
  /// Nil sorts by id.
  public var sortField: String?
  public var isDescending: Bool
  public var limit: Int
  /// Only rows after this one in the order.
  public var cursor: PageCursor?

  public init(
    equals: Fields = [:], range: Range? = nil, sortField: String? = nil,
    isDescending: Bool = false, limit: Int = 100, cursor: PageCursor? = nil
  ) {
    self.equals = equals
    self.range = range
    self.sortField = sortField
    self.isDescending = isDescending
    self.limit = limit
    self.cursor = cursor
  }

  /// Where the page after `row` starts.
  public func cursor(after row: StoredRow) -> PageCursor {
    PageCursor(sortValue: sortField.map { row.fields[$0] ?? .null } ?? .null, id: row.id)
  }
}

/// The last row of a page, as an opaque token for clients.
public struct PageCursor: Sendable, Hashable {
  public var sortValue: Value
  public var id: String

  public init(sortValue: Value, id: String) {
    self.sortValue = sortValue
    self.id = id
  }

  /// Hexadecimal JSON: safe in a URL.
  public var token: String {
    JSONWriter.bytes([sortValue, .string(id)]).map { byte in
      String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }.joined()
  }

  /// Nil for a text that is no token.
  public init?(token: String) {
    let digits = token.compactMap(\.hexDigitValue)
    guard digits.count == token.count, digits.count.isMultiple(of: 2) else { return nil }
    let bytes = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
    guard case .array(let parts)? = try? JSONReader.value(from: bytes), parts.count == 2,
      case .string(let id) = parts[1]
    else { return nil }
    switch parts[0] {
    case .array, .object: return nil
    default: self.init(sortValue: parts[0], id: id)
    }
  }
}
