import Foundation

/// The state of an aggregate as it was after one of its events: a cache, so that a long stream
/// need not be folded from its beginning. Deleting it changes nothing but speed.
public struct Snapshot: Sendable, Hashable {
  /// What a snapshot is of.
  public struct Header: Sendable, Hashable {
    public var stream: StreamName
    /// Of the last event that the state contains; its position, id and time bind the snapshot to
    /// the log that it was taken of, see ``isOf(_:)``.
    public var version: Version
    public var position: Position
    public var eventID: UUID
    public var timestamp: Timestamp
    /// The latest time of all events up to that one: clocks may run apart.
    public var latestTimestamp: Timestamp
    /// Of the state's shape and meaning. A state of another schema is not read.
    public var schema: Int
    public var takenAt: Timestamp

    public init(
      stream: StreamName, version: Version, position: Position, eventID: UUID,
      timestamp: Timestamp, latestTimestamp: Timestamp, schema: Int, takenAt: Timestamp
    ) {
      self.stream = stream
      self.version = version
      self.position = position
      self.eventID = eventID
      self.timestamp = timestamp
      self.latestTimestamp = latestTimestamp
      self.schema = schema
      self.takenAt = takenAt
    }

    /// Whether the snapshot was taken at this very event. A log that lost its end and has grown
    /// anew has other events, at other times, at the same versions.
    public func isOf(_ event: Recorded) -> Bool {
      event.stream == stream && event.version == version && event.position == position
        && event.eventID == eventID && event.timestamp == timestamp
    }
  }

  public var header: Header
  public var state: Fields

  public init(header: Header, state: Fields) {
    self.header = header
    self.state = state
  }
}

/// How much of a stream is folded: up to a version, up to the first event after a moment, or all.
public struct ReplayBound: Sendable, Hashable {
  public var version: Version?
  public var time: Timestamp?

  public init(version: Version? = nil, time: Timestamp? = nil) {
    self.version = version
    self.time = time
  }

  public func includes(_ event: Recorded) -> Bool {
    includes(event.version, event.timestamp)
  }

  /// Whether all that a snapshot contains lies inside.
  func includes(_ header: Snapshot.Header) -> Bool {
    includes(header.version, header.latestTimestamp)
  }

  private func includes(_ version: Version, _ time: Timestamp) -> Bool {
    if let most = self.version, version > most { return false }
    if let latest = self.time, time > latest { return false }
    return true
  }
}
