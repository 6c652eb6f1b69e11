import EventSourcing
import Mongo

/// Puts commits together from the lines that ``CloudEventLine`` writes.
struct CloudEventReader: Sendable {
  /// The commit whose lines are being read.
  private struct Open {
    var header: Header
    var events: [Value]
  }

  /// What all events of a commit share.
  private struct Header: Hashable {
    var position: Int64
    var size: Int64
    var time: String
    var command: String
    var correlation: String
    var causation: String?
    var service: String
    var fingerprint: String?
    var metadata: String
    var hash: String
  }

  private var open: Open?

  var isInsideCommit: Bool { open != nil }

  /// The commit, when this is its last event.
  mutating func add(_ fields: Fields) throws -> BSONDocument? {
    guard try fields.string("specversion") == "1.0" else {
      throw FieldError("specversion", .invalid("is not 1.0"))
    }
    let index = try fields.integer("commitindex")
    let header = try Self.header(of: fields, index: index)
    var commit = open ?? Open(header: header, events: [])
    guard index == commit.events.count, header == commit.header else {
      throw UnreadableDocument(
        reason: """
          event \(commit.events.count) of the commit at position \(commit.header.position) \
          belongs here
          """)
    }
    commit.events.append(.object(try Self.event(of: fields)))
    guard commit.events.count == header.size else {
      open = commit
      return nil
    }
    open = nil
    return try ExactBSON.document(try Self.commit(header, commit.events))
  }

  private static func header(of fields: Fields, index: Int64) throws -> Header {
    let (position, isOverflow) = try number(fields, "position")
      .subtractingReportingOverflow(index)
    let size = try fields.integer("commitsize")
    guard !isOverflow, (0..<size).contains(index), size <= ProposedCommit.maximumEvents else {
      throw FieldError("commitindex", .invalid("is not within the commit's size"))
    }
    return Header(
      position: position, size: size, time: try fields.string("time"),
      command: try fields.string("commandid"), correlation: try fields.string("correlationid"),
      causation: try fields.stringIfPresent("causationid"),
      service: try fields.string("servicename"),
      fingerprint: try fields.stringIfPresent("fingerprint"),
      metadata: try fields.string("metadata"), hash: try fields.string("hash"))
  }

  private static func number(_ fields: Fields, _ key: String) throws -> Int64 {
    guard let number = Int64(try fields.string(key)) else {
      throw FieldError(key, .invalid("is no number"))
    }
    return number
  }

  private static func event(of fields: Fields) throws -> Fields {
    guard let stream = StreamName(try fields.string("subject")) else {
      throw FieldError("subject", .invalid("is no stream"))
    }
    return [
      "event_id": ["$uuid": .string(try fields.string("id"))],
      "event_type": .string(try fields.string("type")),
      "schema": ["$int32": .integer(try fields.integer("schema"))],
      "aggregate_type": .string(stream.category), "aggregate_id": .string(stream.id),
      "version": .integer(try number(fields, "version")),
      "data": .object(try fields.object("data")),
    ]
  }

  /// The document's fields in the order in which they are stored.
  private static func commit(_ header: Header, _ events: [Value]) throws -> Fields {
    let metadata = try JSONReader.value(
      from: Array(header.metadata.utf8), depthMax: LogFormat.depthMax)
    var fields: Fields = [
      "_id": .integer(header.position), "command_id": ["$uuid": .string(header.command)],
      "correlation_id": ["$uuid": .string(header.correlation)],
    ]
    fields["causation_id"] = header.causation.map { ["$uuid": .string($0)] }
    fields["timestamp"] = ["$date": .string(header.time)]
    fields["service_name"] = .string(header.service)
    fields["fingerprint"] = header.fingerprint.map { .string($0) }
    fields["metadata"] = metadata
    fields["events"] = .array(events)
    fields["hash"] = ["$binary": .string(header.hash), "$subtype": 0]
    return fields
  }
}
