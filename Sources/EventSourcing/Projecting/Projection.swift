/// A read model as a pure fold: `(row, event) -> row`, written as a change in place.
///
/// Write the members up to ``apply(_:to:id:)``; the others have implementations that no projection
/// replaces. They stand among the requirements so that the compiler makes code of its own for each
/// projection: shared generic code spends half of its time on looking types up.
public protocol Projection: Sendable {
  associatedtype Row: ReadModelRow

  /// The name of the read model, plural: `orders`.
  var name: String { get }
  /// The number of the fold, from 1. Raise it with every change of the rows or of what events do to
  /// them: rows that another fold made are not folded on, but rebuilt.
  var version: Int { get }
  /// The events that it consumes. Others are never shown to it.
  var consumes: EventSelection { get }
  /// Between the beginnings of two small batches, about how long its rows may be behind: 20 ms. A
  /// durable write costs MongoDB some 0.7 ms of processor and a flush of the journal, whatever is in
  /// it, so the shorter the dearer.
  var batchPause: Duration { get }
  /// Secondary indexes of the rows' collection.
  var indexes: [ReadModelIndex] { get }
  /// The rows that an event touches; none when the event is of no interest.
  func rows(touchedBy event: Recorded) throws -> [String]
  /// Whether no event before this one can have made the row: it is not looked for then, and
  /// inserted. False says nothing.
  func begins(_ id: String, with event: Recorded) -> Bool
  /// Makes the row what it is after the event. It is nil when there is none yet, and may stay nil.
  /// Throws for an event that cannot be applied: the projection then stops at it, loudly, and what
  /// became of the row counts for nothing.
  func apply(_ event: Recorded, to row: inout Row?, id: String) throws

  /// The rows that events touch, in the order of the events, up to the first that is unreadable.
  func touches(of events: [Recorded], skipping skipped: Set<Position>) -> Touches
  /// Takes stored rows; those of `absent` are known not to exist.
  func take(_ stored: [StoredRow], absent: [String], into rows: inout FoldedRows<Row>) throws
  /// Folds events into rows, all of which must be there. After a poisonous event the rows are of no
  /// use any more.
  func fold(_ touches: Touches, of events: [Recorded], into rows: inout FoldedRows<Row>)
    -> ProjectionPoisoned?
  /// Rows in the form in which they are stored.
  func stored(_ rows: [FoldedRows<Row>.Changed]) -> [StoredRow]
}

extension Projection {
  public var version: Int { 1 }
  public var batchPause: Duration { .milliseconds(20) }
  public func begins(_ id: String, with event: Recorded) -> Bool { false }
}

/// A row as a value with an exact, ordered form for storage.
public protocol ReadModelRow: Sendable, Equatable {
  init(fields: Fields) throws
  var fields: Fields { get }
}

public struct ReadModelIndex: Sendable, Hashable {
  public struct Key: Sendable, Hashable {
    public var field: String
    public var isDescending: Bool
    public init(_ field: String, isDescending: Bool = false) {
      self.field = field
      self.isDescending = isDescending
    }
  }

  public var keys: [Key]
  /// Only rows whose last key is a text are in the index: it costs the others nothing. Queries that
  /// mean to use it say that the text is at least "".
  public var isOfTexts: Bool

  public init(_ keys: Key..., isOfTexts: Bool = false) {
    self.keys = keys
    self.isOfTexts = isOfTexts
  }
}

/// A stored row: what the fold made of everything up to `position`, the last event that touched it.
public struct StoredRow: Sendable, Hashable {
  public var id: String
  public var position: Position
  public var fields: Fields

  public init(id: String, position: Position, fields: Fields) {
    self.id = id
    self.position = position
    self.fields = fields
  }
}

/// An event that a projection could not apply.
public struct ProjectionPoisoned: Error, Sendable, CustomStringConvertible {
  public var projection: String
  public var event: Recorded
  public var reason: String

  public init(projection: String, event: Recorded, reason: String) {
    self.projection = projection
    self.event = event
    self.reason = reason
  }

  public var position: Position { event.position }
  public var description: String {
    "projection \(projection) stopped at position \(position), \(event.type) of \(event.stream): "
      + reason
  }
}
