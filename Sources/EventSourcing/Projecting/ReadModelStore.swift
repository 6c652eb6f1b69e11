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
  /// - Parameter deadline: when the write cannot be sent before, nothing is written.
  /// - Throws: ``LeaseLost`` after the deadline.
  func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws
  /// Writes rows that the collection does not have, much faster than ``write(_:to:)``. A row that
  /// it has nevertheless, of somebody who has died, is written as that one does.
  /// - Parameter deadline: as there.
  /// - Returns: the size of what was written, in bytes.
  /// - Throws: ``LeaseLost`` after the deadline.
  @discardableResult
  func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int
  func find(_ query: ReadModelQuery, in collection: String) async throws -> [StoredRow]
  /// How many rows a query selects: its limit at most.
  func count(_ query: ReadModelQuery, in collection: String) async throws -> Int
  /// All rows in the order of their ids.
  func rows(of collection: String, after id: String?, limit: Int) async throws -> [StoredRow]
  /// Compares all rows of two collections, as they are stored.
  func compare(_ old: String, with new: String) async throws -> RowComparison

  func progress(of projection: String) async throws -> ProjectionProgress?
  /// Takes the lease of a projection for a time, by the store's own clock; the first one who does
  /// creates its progress, of generation 1 and at the start of the log. Nil when somebody holds it,
  /// or another one has asked for it.
  func acquire(
    _ projection: String, version: Int, owner: String, for duration: Duration,
    _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress?
  /// Asks whoever holds the lease to give it up, and keeps it for `owner` for a few seconds.
  func request(_ projection: String, by owner: String) async throws
  /// Holds a lease for longer. False when somebody else has taken it.
  func renew(_ lease: Lease, for duration: Duration) async throws -> Bool
  /// Gives a lease up, if it is still held, so that the next one need not wait.
  func release(_ lease: Lease) async throws
  /// Who drives a projection, or did last; nil when nobody ever did.
  func holder(of projection: String) async throws -> LeaseHolder?
  /// Saves the progress, and holds the lease for longer. Nothing is saved when the lease is lost.
  func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState
  /// Removes the progress that is kept under a lease, and the lease.
  func remove(_ lease: Lease) async throws

  /// Checkpoints of subscriptions that keep no rows. They only rise.
  func checkpoint(of subscription: String) async throws -> Position
  func saveCheckpoint(_ position: Position, of subscription: String) async throws
}

extension ReadModelStore {
  public func write(_ rows: [StoredRow], to collection: String) async throws {
    try await write(rows, to: collection, before: nil)
  }

  @discardableResult
  public func insert(_ rows: [StoredRow], into collection: String) async throws -> Int {
    try await insert(rows, into: collection, before: nil)
  }
}

/// How two collections of rows differ.
public struct RowComparison: Sendable, Hashable {
  /// Rows of the new collection.
  public var rows = 0
  /// Rows of one position and another content. Ids of at most ``idsMax`` of them.
  public var differentCount = 0
  public var different: [String] = []
  /// Rows that stand at other positions, or that one side lacks: one side has seen more events, or
  /// something is wrong. Ids of at most ``unsettledMax`` of them.
  public var unsettledCount = 0
  public var unsettled: [String] = []

  public static let idsMax = 1000
  public static let unsettledMax = 200_000

  public init() {}

  public mutating func addDifferent(_ id: String) {
    differentCount += 1
    if different.count < Self.idsMax { different.append(id) }
  }

  public mutating func addUnsettled(_ id: String) {
    unsettledCount += 1
    if unsettled.count < Self.unsettledMax { unsettled.append(id) }
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
