/// A read model as a pure fold: `(row, event) -> row`.
public protocol Projection: Sendable {
  associatedtype Row: ReadModelRow

  /// The name of the read model, plural: `orders`.
  var name: String { get }
  /// Secondary indexes of the rows' collection.
  var indexes: [ReadModelIndex] { get }
  /// The rows that an event touches; none when the event is of no interest.
  func rows(touchedBy event: Recorded) throws -> [String]
  /// The row after the event. `row` is nil when there is none yet; answering nil changes nothing.
  /// Throws for an event that cannot be applied: the projection then stops at it, loudly.
  func apply(_ event: Recorded, to row: Row?, id: String) throws -> Row?
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
  public init(_ keys: Key...) { self.keys = keys }
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
  public var position: Position
  public var reason: String
  public var description: String {
    "projection \(projection) stopped at position \(position): \(reason)"
  }
}

extension Projection {
  /// Folds a batch of events into rows: one fetch, then memory only. Answers the rows that
  /// changed, sorted by id. Events at or below a row's own position are not applied again.
  func fold(
    _ events: [Recorded], loading: ([String]) async throws -> [String: StoredRow]
  ) async throws -> [StoredRow] {
    var touches: [(event: Recorded, ids: [String])] = []
    var ids: Set<String> = []
    for event in events {
      let touched: [String]
      do { touched = try rows(touchedBy: event) } catch { throw poisoned(event, error) }
      guard !touched.isEmpty else { continue }
      touches.append((event, touched))
      ids.formUnion(touched)
    }
    guard !touches.isEmpty else { return [] }
    let stored = try await loading(ids.sorted())
    var folded: [String: (row: Row, position: Position)] = [:]
    var changed: Set<String> = []
    for (id, row) in stored { folded[id] = (try Row(fields: row.fields), row.position) }
    for (event, ids) in touches {
      for id in ids where folded[id]?.position ?? .start < event.position {
        do {
          guard let row = try apply(event, to: folded[id]?.row, id: id) else { continue }
          folded[id] = (row, event.position)
          changed.insert(id)
        } catch {
          throw poisoned(event, error)
        }
      }
    }
    return changed.sorted().compactMap { id in
      folded[id].map { StoredRow(id: id, position: $0.position, fields: $0.row.fields) }
    }
  }

  private func poisoned(_ event: Recorded, _ error: any Error) -> ProjectionPoisoned {
    ProjectionPoisoned(projection: name, position: event.position, reason: "\(error)")
  }
}
