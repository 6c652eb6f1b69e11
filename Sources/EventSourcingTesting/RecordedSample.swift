import EventSourcing

/// A stored event, kept in a file so that it can be read for ever: one line of JSON.
///
///     {"name":"a store's order","event_type":"OrderInitiated","schema":1,"data":{…}}
public struct RecordedSample: Sendable, Hashable {
  /// Says which value it must be read as.
  public var name: String
  public var type: String
  public var schema: Int
  public var data: Fields

  public init(name: String, _ event: some Event) {
    self.name = name
    type = event.type
    schema = event.schema
    data = event.data
  }

  public static func samples(lines: String) throws -> [RecordedSample] {
    try lines.split(separator: "\n").map { line in
      guard case .object(let fields) = try JSONReader.value(from: String(line)) else {
        throw FieldError("line", .invalid("must be an object"))
      }
      return RecordedSample(
        name: try fields.string("name"), type: try fields.string("event_type"),
        schema: Int(try fields.integer("schema")), data: try fields.object("data"))
    }
  }

  private init(name: String, type: String, schema: Int, data: Fields) {
    self.name = name
    self.type = type
    self.schema = schema
    self.data = data
  }

  public var line: String {
    JSONWriter.text([
      "name": .string(name), "event_type": .string(type), "schema": .integer(Int64(schema)),
      "data": .object(data),
    ])
  }

  /// What is wrong with the reading and writing of a decider's events; empty when all is well.
  ///
  /// Every recorded event is read as the value of its name; every value is written as it is
  /// recorded, or was recorded under an older schema; the records of a type and schema have the
  /// shape that `register` says.
  public static func findings<D: Decider>(
    of recorded: [RecordedSample], _ decider: D.Type, expected: [(name: String, event: D.Event)],
    register: SchemaRegister
  ) -> [String] where D.Event: Equatable {
    let readings = recorded.compactMap { sample -> String? in
      guard let event = expected.first(where: { $0.name == sample.name })?.event else {
        return "\(sample.name) has no value to be compared with"
      }
      let read = Result {
        try D.decode(type: sample.type, schema: sample.schema, data: sample.data)
      }
      if case .success(event) = read { return nil }
      return "\(sample.name) (\(sample.type), schema \(sample.schema)) is read as \(read)"
    }
    let writings = expected.compactMap { name, event -> String? in
      let written = RecordedSample(name: name, event)
      guard let known = recorded.first(where: { $0.name == name }) else {
        return "\(name) is not recorded. Add this line:\n\(written.line)"
      }
      return known.schema < written.schema || known == written
        ? nil : "\(name) is written as\n\(written.line)\nand not as recorded"
    }
    return readings + writings + misshapen(recorded, register)
  }

  private static func misshapen(
    _ recorded: [RecordedSample], _ register: SchemaRegister
  ) -> [String] {
    register.records.compactMap { record in
      let samples = recorded.filter { $0.type == record.type && $0.schema == record.schema }
      let changes = EventShape(of: samples.map(\.data)).changes(from: record.shape)
      guard !changes.isEmpty else { return nil }
      let name = "\(record.type) of schema \(record.schema)"
      return samples.isEmpty
        ? "no event is recorded of \(name)"
        : "the recorded events of \(name) are not of the recorded shape: "
          + changes.joined(separator: ", ")
    }
  }
}
