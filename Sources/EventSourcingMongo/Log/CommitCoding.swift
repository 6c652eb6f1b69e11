import Crypto
import EventSourcing
import Foundation
import Mongo

/// A commit as the log stores it: one document, with the hash that chains it to the one before.
final class CommitDocument: Sendable {
  /// The hash that the first commit is chained to.
  static let noHash = [UInt8](repeating: 0, count: 32)
  /// The largest commit, in bytes as it is stored.
  static let bytesMax = 4 << 20

  let commit: RecordedCommit
  let document: BSONDocument
  let hash: [UInt8]

  /// Encodes a commit and chains it to `previous`.
  init(_ commit: RecordedCommit, chainedTo previous: [UInt8]) {
    var document = BSONDocument(capacity: 640 + 384 * commit.events.count) { writer in
      Self.write(commit, to: &writer)
    }
    let hash = Self.hash(document.bytes[...], chainedTo: previous)
    document.append { $0.append("hash", sha256: hash) }
    self.commit = commit
    self.hash = hash
    self.document = document
  }

  private static func write(_ commit: RecordedCommit, to writer: inout BSONWriter) {
    let context = commit.header.context
    writer.append("_id", commit.header.firstPosition)
    writer.append("command_id", uuid: context.commandID.uuid)
    writer.append("correlation_id", uuid: context.correlationID)
    if let causation = context.causationID { writer.append("causation_id", uuid: causation) }
    writer.append(
      "timestamp", millisecondsSinceEpoch: context.timestamp.millisecondsSinceEpoch)
    writer.append("service_name", context.serviceName)
    if let fingerprint = context.fingerprint { writer.append("fingerprint", fingerprint) }
    writer.appendDocument("metadata") { $0.append(context.metadata) }
    writer.appendArray("events") { array in
      for event in commit.events {
        array.append { writer, key in
          writer.appendDocument(key) { writer in
            writer.append("event_id", uuid: event.eventID)
            writer.append("event_type", event.type)
            writer.append("schema", int32: Int32(truncatingIfNeeded: event.schema))
            writer.append("aggregate_type", event.stream.category)
            writer.append("aggregate_id", event.stream.id)
            writer.append("version", event.version.rawValue)
            writer.appendDocument("data") { $0.append(event.data) }
          }
        }
      }
    }
  }

  /// SHA-256(previous hash ‖ the document without its hash).
  static func hash(_ body: ArraySlice<UInt8>, chainedTo previous: [UInt8]) -> [UInt8] {
    var hasher = SHA256()
    hasher.update(data: previous)
    body.withUnsafeBytes { hasher.update(bufferPointer: $0) }
    return Array(hasher.finalize())
  }

  static func storedHash(of view: BSONView) -> [UInt8]? {
    guard case .binary(_, let bytes)? = view["hash"] else { return nil }
    return Array(bytes)
  }

  /// Decodes a stored commit.
  /// - Throws: ``LogCorruption`` when it is not of the shape that Magasin writes.
  static func decode(_ view: BSONView) throws -> RecordedCommit {
    let position = Position(view["_id"]?.integer ?? 0)
    do {
      return try decodeFields(view)
    } catch {
      throw LogCorruption(position: position, reason: "\(error)")
    }
  }

  private static func decodeFields(_ view: BSONView) throws -> RecordedCommit {
    var position: Int64?
    var command: UUID?
    var correlation: UUID?
    var causation: UUID?
    var timestamp: Int64?
    var service: String?
    var fingerprint: String?
    var metadata = Fields()
    var events: BSONView?
    try view.visit { key, element in
      if key.isEqual(to: "_id") {
        position = element.integer
      } else if key.isEqual(to: "command_id") {
        command = element.uuid
      } else if key.isEqual(to: "correlation_id") {
        correlation = element.uuid
      } else if key.isEqual(to: "causation_id") {
        causation = element.uuid
      } else if key.isEqual(to: "timestamp") {
        if case .dateTime(let milliseconds) = element { timestamp = milliseconds }
      } else if key.isEqual(to: "service_name") {
        service = element.string
      } else if key.isEqual(to: "fingerprint") {
        fingerprint = element.string
      } else if key.isEqual(to: "metadata") {
        metadata = try element.document?.fields() ?? [:]
      } else if key.isEqual(to: "events") {
        events = element.array
      }
      return true
    }
    guard let position, let command, let timestamp, let events else {
      throw UnreadableDocument(reason: "a commit lacks a field")
    }
    let elements = try events.elements()
    guard !elements.isEmpty else { throw UnreadableDocument(reason: "a commit without events") }
    let header = CommitHeader(
      context: CommitContext(
        commandID: CommandID(command), fingerprint: fingerprint, correlationID: correlation,
        causationID: causation, timestamp: Timestamp(millisecondsSinceEpoch: timestamp),
        serviceName: service ?? "", metadata: metadata),
      firstPosition: Position(position), eventCount: elements.count)
    let recorded = try elements.enumerated().map { index, element in
      guard let view = element.document else {
        throw UnreadableDocument(reason: "an event is not a document")
      }
      return try decodeEvent(view, index: index, header: header)
    }
    return RecordedCommit(header: header, events: recorded)
  }

  private static func decodeEvent(
    _ view: BSONView, index: Int, header: CommitHeader
  ) throws -> Recorded {
    var id: UUID?
    var type: String?
    var schema: Int64 = 1
    var category: String?
    var aggregate: String?
    var version: Int64?
    var data: Fields?
    try view.visit { key, element in
      if key.isEqual(to: "event_id") {
        id = element.uuid
      } else if key.isEqual(to: "event_type") {
        type = element.string
      } else if key.isEqual(to: "schema") {
        schema = element.integer ?? 1
      } else if key.isEqual(to: "aggregate_type") {
        category = element.string
      } else if key.isEqual(to: "aggregate_id") {
        aggregate = element.string
      } else if key.isEqual(to: "version") {
        version = element.integer
      } else if key.isEqual(to: "data") {
        data = try element.document?.fields()
      }
      return true
    }
    guard let id, let type, let category, let aggregate, let version, let data else {
      throw UnreadableDocument(reason: "event \(index) lacks a field")
    }
    return Recorded(
      header: header, index: index, eventID: id,
      stream: StreamName(category: category, id: aggregate), version: Version(version), type: type,
      schema: Int(schema), data: data)
  }
}

/// What the appender must know of a stored commit: less than all of it.
struct CommitOutline: Sendable {
  var position: Position
  /// Of each event the stream and its version, in order: the last one of a stream is its head.
  var versions: [(stream: StreamName, version: Version)]
  var hash: [UInt8]

  var eventCount: Int { versions.count }
  var next: Position { position + eventCount }
  var last: Position { position + (eventCount - 1) }
  var end: LogHead.End { LogHead.End(position: last, hash: hash) }

  /// Reads no more of a commit than it needs.
  static func decode(_ view: BSONView) throws -> CommitOutline {
    var position: Int64 = 0
    var hash: [UInt8]?
    var versions: [(stream: StreamName, version: Version)] = []
    try view.visit { key, element in
      if key.isEqual(to: "_id") {
        position = element.integer ?? 0
      } else if key.isEqual(to: "events") {
        try element.array?.visit { _, event in
          guard let head = try event.document.flatMap(head) else {
            throw LogCorruption(
              position: Position(position),
              reason: "event \(versions.count) of the commit lacks a field")
          }
          versions.append(head)
          return true
        }
      } else if key.isEqual(to: "hash"), case .binary(_, let bytes) = element {
        hash = Array(bytes)
      }
      return true
    }
    guard position > 0, !versions.isEmpty, let hash else {
      throw LogCorruption(position: Position(position), reason: "a commit lacks a field")
    }
    return CommitOutline(
      position: Position(position), versions: versions, hash: hash)
  }

  private static func head(_ event: BSONView) throws -> (StreamName, Version)? {
    var category: String?
    var id: String?
    var version: Int64?
    try event.visit { key, element in
      if key.isEqual(to: "aggregate_type") {
        category = element.string
      } else if key.isEqual(to: "aggregate_id") {
        id = element.string
      } else if key.isEqual(to: "version") {
        version = element.integer
      }
      return version == nil
    }
    guard let category, let id, let version else { return nil }
    return (StreamName(category: category, id: id), Version(version))
  }
}
