import Foundation

/// An event on its way to the log: not yet numbered.
public struct ProposedEvent: Sendable, Hashable {
  public var stream: StreamName
  public var type: String
  public var schema: Int
  public var data: Fields

  public init(stream: StreamName, type: String, schema: Int = 1, data: Fields) {
    self.stream = stream
    self.type = type
    self.schema = schema
    self.data = data
  }

  public init(_ event: some Event, in stream: StreamName) {
    self.init(stream: stream, type: event.type, schema: event.schema, data: event.data)
  }
}

/// What must be true of a stream at the moment of the append.
public enum ExpectedVersion: Sendable, Hashable {
  case any
  case noStream
  case streamExists
  case exactly(Version)

  public func accepts(_ actual: Version) -> Bool {
    switch self {
    case .any: true
    case .noStream: actual == .none
    case .streamExists: actual > .none
    case .exactly(let version): actual == version
    }
  }
}

/// Who asked, why, and when: what every event of a commit shares.
public struct CommitContext: Sendable, Hashable {
  public var commandID: CommandID
  /// Marks the payload of the command, so that the same id with another payload is refused.
  /// Nil: any payload is taken for the same.
  public var fingerprint: String?
  /// The business transaction that this belongs to.
  public var correlationID: UUID
  /// The command or event that led to this one.
  public var causationID: UUID?
  public var timestamp: Timestamp
  /// The part of the system that wrote it, as in `commands`.
  public var serviceName: String
  /// trace_id, user, source_ip, user_agent, …
  public var metadata: Fields

  public init(
    commandID: CommandID, fingerprint: String? = nil, correlationID: UUID? = nil,
    causationID: UUID? = nil, timestamp: Timestamp, serviceName: String, metadata: Fields = [:]
  ) {
    self.commandID = commandID
    self.fingerprint = fingerprint
    self.correlationID = correlationID ?? commandID.uuid
    self.causationID = causationID
    self.timestamp = timestamp
    self.serviceName = serviceName
    self.metadata = metadata
  }
}

/// One command's events, of one or several streams: they land together or not at all.
public struct ProposedCommit: Sendable {
  public static let maximumEvents = 1000

  public var context: CommitContext
  public var events: [ProposedEvent]
  /// For streams that are written and for streams that were only read. A written stream that is
  /// not named here is `.any`.
  public var expectations: [StreamName: ExpectedVersion]
  /// Earlier appends of this process that the decision was built on. When one of them fails, this
  /// commit fails with ``AppendConflict``.
  public var builtOn: [AppendTicket]

  public init(
    context: CommitContext, events: [ProposedEvent],
    expectations: [StreamName: ExpectedVersion] = [:], builtOn: [AppendTicket] = []
  ) {
    self.context = context
    self.events = events
    self.expectations = expectations
    self.builtOn = builtOn
  }

  /// The version that each event gets when the streams stand at `head`.
  public func versions(after head: (StreamName) -> Version) -> [Version] {
    if events.count == 1 { return [head(events[0].stream) + 1] }
    var heads: [StreamName: Version] = [:]
    return events.map { event in
      let version = (heads[event.stream] ?? head(event.stream)) + 1
      heads[event.stream] = version
      return version
    }
  }

  /// The reason why no log may take this commit, or nil.
  public var defect: String? {
    if events.isEmpty { return "a commit holds at least one event" }
    if events.count > Self.maximumEvents {
      return "a commit holds at most \(Self.maximumEvents) events"
    }
    for event in events {
      if !StreamName.isLegal(event.stream.category) || !StreamName.isLegal(event.stream.id) {
        return "the stream name \(event.stream) is not legal"
      }
      if !StreamName.isLegal(event.type) { return "the event type is not legal" }
    }
    return nil
  }
}

/// What the events of one commit share, once recorded. A class: events of a commit share it.
public final class CommitHeader: Sendable {
  public let context: CommitContext
  public let firstPosition: Position
  public let eventCount: Int

  public init(context: CommitContext, firstPosition: Position, eventCount: Int) {
    self.context = context
    self.firstPosition = firstPosition
    self.eventCount = eventCount
  }

  public var lastPosition: Position { firstPosition + (eventCount - 1) }
}

/// An event as it stands in the log.
///
/// Its contents are shared: the followers of the log hand it on all the time, and a copy of it costs
/// one count, not six.
public struct Recorded: Sendable {
  private final class Contents: Sendable {
    let header: CommitHeader
    let index: Int
    let eventID: UUID
    let stream: StreamName
    let version: Version
    let type: String
    let schema: Int
    let data: Fields

    init(
      header: CommitHeader, index: Int, eventID: UUID, stream: StreamName, version: Version,
      type: String, schema: Int, data: Fields
    ) {
      self.header = header
      self.index = index
      self.eventID = eventID
      self.stream = stream
      self.version = version
      self.type = type
      self.schema = schema
      self.data = data
    }
  }

  private let contents: Contents

  public init(
    header: CommitHeader, index: Int, eventID: UUID, stream: StreamName, version: Version,
    type: String, schema: Int, data: Fields
  ) {
    contents = Contents(
      header: header, index: index, eventID: eventID, stream: stream, version: version,
      type: type, schema: schema, data: data)
  }

  public var header: CommitHeader { contents.header }
  /// Its place in the commit, from 0.
  public var index: Int { contents.index }
  public var eventID: UUID { contents.eventID }
  public var stream: StreamName { contents.stream }
  public var version: Version { contents.version }
  public var type: String { contents.type }
  public var schema: Int { contents.schema }
  public var data: Fields { contents.data }

  public var position: Position { header.firstPosition + index }
  public var timestamp: Timestamp { header.context.timestamp }
  public var commandID: CommandID { header.context.commandID }
  public var correlationID: UUID { header.context.correlationID }

  /// The event's id: the command's with the event's place mixed in, so that it is unique and
  /// the same when the command is sent again.
  public static func eventID(command: CommandID, index: Int) -> UUID {
    var value = command.uuid.uuid
    withUnsafeMutableBytes(of: &value) { bytes in
      let place = UInt16(index + 1)
      bytes[14] ^= UInt8(place >> 8)
      bytes[15] ^= UInt8(place & 0xFF)
    }
    return UUID(uuid: value)
  }
}

/// A commit as it stands in the log.
public struct RecordedCommit: Sendable {
  public let header: CommitHeader
  public let events: [Recorded]

  public init(header: CommitHeader, events: [Recorded]) {
    self.header = header
    self.events = events
  }

  /// Numbers a proposed commit; `versions` are those of its events.
  public init(_ commit: ProposedCommit, at position: Position, versions: [Version]) {
    let header = CommitHeader(
      context: commit.context, firstPosition: position, eventCount: commit.events.count)
    self.header = header
    self.events = zip(commit.events, versions).enumerated().map { index, numbered in
      let (event, version) = numbered
      return Recorded(
        header: header, index: index,
        eventID: Recorded.eventID(command: commit.context.commandID, index: index),
        stream: event.stream, version: version, type: event.type, schema: event.schema,
        data: event.data)
    }
  }
}
