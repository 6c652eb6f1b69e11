/// Lifts the data of a recorded event from one schema to the next, when it is read. What is stored
/// stays as it was written, for ever.
///
/// A decider names its upcasters, one for each step: ``Decider/decode(_:)`` applies them one after
/// the other, so that `Event.init(type:schema:data:)` reads the newest schema only.
public struct Upcaster: Sendable {
  public typealias Transform = @Sendable (_ data: Fields) throws -> Fields

  /// The type of the events, as in `OrderConfirmed`.
  public let type: String
  /// The schema that is read; the next one comes out.
  public let schema: Int
  private let transform: Transform

  /// - Parameter transform: pure: what a new field says of an old event follows from that event
  ///   alone, or is "not known".
  public init(_ type: String, from schema: Int, _ transform: @escaping Transform) {
    self.type = type
    self.schema = schema
    self.transform = transform
  }

  public func callAsFunction(_ data: Fields) throws -> Fields { try transform(data) }

  func reads(_ type: String, _ schema: Int) -> Bool {
    // The number first: for an event of the newest schema nothing else is compared, as a rule.
    self.schema == schema && self.type == type
  }
}

extension Decider {
  public static var upcasters: [Upcaster] { [] }

  /// The data of a recorded event in the shape of its type's newest schema.
  public static func currentData(of recorded: Recorded) throws -> Fields {
    try lifted(recorded.data, of: recorded.type, from: recorded.schema).data
  }

  /// Decodes a recorded event of one of this decider's streams, of whatever schema.
  /// - Throws: ``UnknownEvent`` also for a schema that is newer than this program.
  public static func decode(_ recorded: Recorded) throws -> Event {
    try decode(type: recorded.type, schema: recorded.schema, data: recorded.data)
  }

  /// The same, for an event that is not recorded.
  public static func decode(type: String, schema: Int, data: Fields) throws -> Event {
    let lifted = try lifted(data, of: type, from: schema)
    return try Event(type: type, schema: lifted.schema, data: lifted.data)
  }

  private static func lifted(
    _ data: Fields, of type: String, from schema: Int
  ) throws -> (schema: Int, data: Fields) {
    let upcasters = Self.upcasters
    var schema = schema
    var data = data
    while let upcaster = upcasters.first(where: { $0.reads(type, schema) }) {
      data = try upcaster(data)
      schema += 1
    }
    return (schema, data)
  }
}
