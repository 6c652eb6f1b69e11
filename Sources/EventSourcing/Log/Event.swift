/// A domain event: a fact in the past tense, with a stable type name and a schema number.
///
/// `data` and `init(type:schema:data:)` are each other's inverse. A change of the shape of `data`
/// takes a new schema number and an ``Upcaster`` from the one before: recorded events are read by
/// ``Decider/decode(_:)``, and `init` reads the newest schema only.
public protocol Event: Sendable {
  /// As in `OrderInitiated`.
  var type: String { get }
  var schema: Int { get }
  var data: Fields { get }
  /// Throws ``UnknownEvent`` for a type that is not this aggregate's, ``FieldError`` for data that
  /// lacks a field.
  init(type: String, schema: Int, data: Fields) throws
}

extension Event {
  public var schema: Int { 1 }
}

public struct UnknownEvent: Error, Sendable, CustomStringConvertible {
  public var type: String
  public var schema: Int
  public init(type: String, schema: Int) {
    self.type = type
    self.schema = schema
  }
  public var description: String { "no event \(type) of schema \(schema) is known here" }
}
