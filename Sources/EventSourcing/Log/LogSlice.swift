/// The commits that begin in a range of positions: how far they reach, and those of their events that
/// were asked for.
///
/// Positions have no hole, so the slices of neighbouring ranges follow each other: `next` of one is
/// `first` of the other. That is how several readers read one log at a time, and how whoever puts
/// their slices together knows that nothing is missing.
public struct LogSlice: Sendable {
  /// The first position of the first commit; nil when no commit begins in the range.
  public var first: Position?
  /// The position behind the last event of the last commit; nil with `first`.
  public var next: Position?
  /// In the order of the log.
  public var events: [Recorded]

  public init(first: Position?, next: Position?, events: [Recorded]) {
    self.first = first
    self.next = next
    self.events = events
  }
}
