import EventSourcing
import Mongo

/// An event as CloudEvents 1.0 in JSON (cloudevents.io): an ordinary CloudEvent to everybody, with
/// extension attributes from which the commit can be restored byte by byte.
///
/// `id` is the event's id, `source` `/magasin/<service>`, `type` its type, `subject` its stream,
/// `time` the commit's, `data` its data in ``ExactJSON``. Extensions, strings where not said
/// otherwise: CloudEvents' integers have 32 bits.
///
/// | attribute | |
/// | --- | --- |
/// | `position`, `version` | the event's place in the log and in its stream |
/// | `schema` | integer: the version of the type's schema |
/// | `commandid`, `correlationid`, `causationid` | UUIDs; the last one only when there is one |
/// | `servicename`, `fingerprint` | as in the commit; the last one only when there is one |
/// | `metadata` | the commit's metadata, JSON as text |
/// | `commitindex`, `commitsize` | integers: the event's place in its commit, from 0; its events |
/// | `hash` | the commit's hash in hexadecimal |
enum CloudEventLine {
  /// Writes a line for each event of a commit.
  /// - Throws: ``UnreadableDocument``.
  static func write(_ document: BSONDocument, to output: inout [UInt8]) throws {
    try document.withView { view in
      let commit = try CommitDocument.decode(view)
      guard let hash = CommitDocument.storedHash(of: view),
        let events = try view["events"]?.array?.elements()
      else { throw UnreadableDocument(reason: "it lacks a field") }
      var metadata: [UInt8] = []
      guard let stored = view["metadata"]?.document else {
        throw UnreadableDocument(reason: "it lacks its metadata")
      }
      try ExactJSON.write(stored.bytes, to: &metadata)
      for (event, stored) in zip(commit.events, events) {
        guard let data = stored.document?["data"]?.document else {
          throw UnreadableDocument(reason: "an event lacks its data")
        }
        let attributes = attributes(
          of: event, hash: Hexadecimal.text(hash),
          metadata: String(decoding: metadata, as: UTF8.self))
        JSONWriter.write(.object(attributes), into: &output)
        output.removeLast()
        output.append(contentsOf: ",\"data\":".utf8)
        try ExactJSON.write(data.bytes, to: &output)
        output.append(contentsOf: "}\n".utf8)
      }
    }
  }

  private static func attributes(of event: Recorded, hash: String, metadata: String) -> Fields {
    let context = event.header.context
    var fields: Fields = [
      "specversion": "1.0", "id": .string(event.eventID.text),
      "source": .string(source(of: context.serviceName)), "type": .string(event.type),
      "subject": .string(event.stream.description), "time": .string(event.timestamp.iso8601),
      "datacontenttype": "application/json", "position": .string(event.position.description),
      "version": .string(event.version.description), "schema": .integer(Int64(event.schema)),
      "commandid": .string(event.commandID.description),
      "correlationid": .string(event.correlationID.text),
      "servicename": .string(context.serviceName), "metadata": .string(metadata),
      "commitindex": .integer(Int64(event.index)),
      "commitsize": .integer(Int64(event.header.eventCount)), "hash": .string(hash),
    ]
    fields["causationid"] = context.causationID.map { .string($0.text) }
    fields["fingerprint"] = context.fingerprint.map { .string($0) }
    return fields
  }

  private static func source(of service: String) -> String {
    let encoded = service.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
    return "/magasin/" + (encoded ?? "")
  }
}
