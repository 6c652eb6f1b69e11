/// Rows in memory while events are folded into them, and which of them have changed since they were
/// written.
public struct FoldedRows<Row: ReadModelRow>: Sendable {
  @usableFromInline
  struct Entry: Sendable {
    /// Nil: it is known that there is no such row.
    @usableFromInline var row: Row?
    @usableFromInline var position: Position
    /// Whether the store has the row, of whatever position.
    @usableFromInline var isStored: Bool
    @usableFromInline var isChanged: Bool
    /// The round of the last use.
    @usableFromInline var usedIn: Int

    @inlinable
    init(row: Row?, position: Position, isStored: Bool, usedIn: Int) {
      self.row = row
      self.position = position
      self.isStored = isStored
      isChanged = false
      self.usedIn = usedIn
    }
  }

  /// A row that has changed since it was written.
  public struct Changed: Sendable {
    public var id: String
    public var row: Row
    public var position: Position
    /// Whether the store has an older form of it.
    public var isStored: Bool

    @inlinable
    init(id: String, row: Row, position: Position, isStored: Bool) {
      self.id = id
      self.row = row
      self.position = position
      self.isStored = isStored
    }
  }

  @usableFromInline var entries: [String: Entry] = [:]
  @usableFromInline var changedIDs: [String] = []
  @usableFromInline var round = 0

  @inlinable
  public init() {}

  public var count: Int { entries.count }
  public var changedCount: Int { changedIDs.count }

  /// Begins a round: what is used from now on is younger than what was used before.
  public mutating func beginRound() { round += 1 }

  /// Which of `ids` are not here, each once.
  public mutating func missing(of ids: [String]) -> [String] {
    var missing: [String] = []
    for id in ids {
      if let index = entries.index(forKey: id) {
        entries.values[index].usedIn = round
      } else {
        missing.append(id)
      }
    }
    return missing
  }

  /// The rows that have changed since they were last taken. They stay here as written ones.
  public mutating func takeChanged() -> [Changed] {
    let ids = changedIDs
    changedIDs = []
    return ids.compactMap { changed($0) }
  }

  private mutating func changed(_ id: String) -> Changed? {
    guard let index = entries.index(forKey: id), let row = entries.values[index].row else {
      return nil
    }
    let entry = entries.values[index]
    entries.values[index].isChanged = false
    entries.values[index].isStored = true
    return Changed(id: id, row: row, position: entry.position, isStored: entry.isStored)
  }

  /// Lets go of the rows that were not used for longest, down to about `countMax`, and answers
  /// those of them that have changed since they were written.
  public mutating func evict(downTo countMax: Int) -> [Changed] {
    guard entries.count > countMax else { return [] }
    var rounds = entries.values.map(\.usedIn)
    rounds.sort()
    let oldest = rounds[entries.count - countMax]
    // What was used in this round stays, even if all of it was.
    let bound = min(max(oldest, 1), round)
    var evicted: [String] = []
    for index in entries.indices where entries.values[index].usedIn < bound {
      evicted.append(entries.keys[index])
    }
    var changed: [Changed] = []
    for id in evicted {
      guard let entry = entries.removeValue(forKey: id), entry.isChanged, let row = entry.row
      else { continue }
      changed.append(
        Changed(id: id, row: row, position: entry.position, isStored: entry.isStored))
    }
    if !changed.isEmpty {
      changedIDs.removeAll { entries[$0] == nil }
    }
    return changed
  }

  public mutating func removeAll() {
    entries = [:]
    changedIDs = []
  }
}

/// Which rows a batch of events touches.
public struct Touches: Sendable {
  @usableFromInline
  struct Touch: Sendable {
    /// The event's place in the batch.
    @usableFromInline var event: Int
    @usableFromInline var ids: [String]

    @inlinable
    init(event: Int, ids: [String]) {
      self.event = event
      self.ids = ids
    }
  }

  @usableFromInline var touches: [Touch] = []
  /// The first event of which it cannot be told; those behind it are not looked at.
  public internal(set) var poison: ProjectionPoisoned?

  @inlinable
  init() {}

  @usableFromInline
  mutating func stop(at poison: ProjectionPoisoned) { self.poison = poison }

  public var isEmpty: Bool { touches.isEmpty }

  /// The touched rows, each once.
  public var ids: [String] {
    var seen: Set<String> = []
    var ids: [String] = []
    for touch in touches {
      for id in touch.ids where seen.insert(id).inserted { ids.append(id) }
    }
    return ids
  }
}

extension Projection {
  @inlinable
  public func touches(of events: [Recorded], skipping skipped: Set<Position>) -> Touches {
    let consumes = consumes
    var touches = Touches()
    touches.touches.reserveCapacity(events.count)
    for (place, event) in events.enumerated() where consumes.takes(event) {
      if !skipped.isEmpty, skipped.contains(event.position) { continue }
      do {
        let ids = try rows(touchedBy: event)
        if !ids.isEmpty {
          touches.touches.append(Touches.Touch(event: place, ids: ids))
        }
      } catch {
        touches.stop(at: ProjectionPoisoned(projection: name, event: event, reason: "\(error)"))
        break
      }
    }
    return touches
  }

  /// The rows that begin in the batch: nobody has stored them.
  func beginnings(in touches: Touches, of events: [Recorded]) -> Set<String> {
    var beginnings: Set<String> = []
    for touch in touches.touches {
      for id in touch.ids where begins(id, with: events[touch.event]) { beginnings.insert(id) }
    }
    return beginnings
  }

  @inlinable
  public func take(
    _ stored: [StoredRow], absent: [String], into rows: inout FoldedRows<Row>
  ) throws {
    for row in stored {
      rows.entries[row.id] = FoldedRows.Entry(
        row: try Row(fields: row.fields), position: row.position, isStored: true,
        usedIn: rows.round)
    }
    for id in absent {
      rows.entries[id] = FoldedRows.Entry(
        row: nil, position: .start, isStored: false, usedIn: rows.round)
    }
  }

  /// Events at or below a row's own position are not applied again. Rows are changed in place: that
  /// is what makes a rebuild fast.
  @inlinable
  public func fold(
    _ touches: Touches, of events: [Recorded], into rows: inout FoldedRows<Row>
  ) -> ProjectionPoisoned? {
    for touch in touches.touches {
      let event = events[touch.event]
      do {
        for id in touch.ids {
          guard let index = rows.entries.index(forKey: id),
            rows.entries.values[index].position < event.position
          else { continue }
          try apply(event, to: &rows.entries.values[index].row, id: id)
          if rows.entries.values[index].row != nil {
            rows.noteChange(at: index, id: id, position: event.position)
          }
        }
      } catch {
        return ProjectionPoisoned(projection: name, event: event, reason: "\(error)")
      }
    }
    return touches.poison
  }

  @inlinable
  public func stored(_ rows: [FoldedRows<Row>.Changed]) -> [StoredRow] {
    rows.map { StoredRow(id: $0.id, position: $0.position, fields: $0.row.fields) }
  }
}

extension FoldedRows {
  @inlinable
  mutating func noteChange(
    at index: Dictionary<String, Entry>.Index, id: String, position: Position
  ) {
    entries.values[index].position = position
    if !entries.values[index].isChanged {
      entries.values[index].isChanged = true
      changedIDs.append(id)
    }
  }
}
