import EventSourcing

/// A row that queries hand out.
public protocol QueriedRow: ReadModelRow {
  /// Keys that only the fold, the indexes and the paging need. Nobody outside sees them.
  static var internalKeys: Set<String> { get }
}

extension QueriedRow {
  /// The row as JSON shows it: its fields without the internal ones.
  public var json: Fields { Self.json(fields) }

  /// The same for a row that was not decoded.
  static func json(_ stored: Fields) -> Fields {
    Fields(uniqueEntries: stored.entries.filter { !internalKeys.contains($0.key) })
  }
}
