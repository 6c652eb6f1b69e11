import Commerce
import EventSourcing
import Foundation

/// An event that somebody appends by hand: to aggregates of their own, never to the shop's.
struct ManualEvent {
  static let fieldNames: Set<String> = [
    "aggregate_type", "aggregate_id", "event_type", "data", "expected_version", "correlation_id",
    "metadata",
  ]

  /// Written by commands only, so that nobody can forge an order or a payment.
  static let reservedCategories: Set<String> = [
    Orders.category, Inventory.category, Payments.category, Products.category, Customers.category,
    Notifications.category, ProjectionOperations.category, "sagas",
  ]

  let event: ProposedEvent
  let expected: ExpectedVersion
  let correlationID: UUID?
  let metadata: Fields

  init(_ body: Fields) throws {
    let category = try Self.identifier("aggregate_type", in: body)
    let id = try Self.identifier("aggregate_id", in: body)
    let type = try Self.identifier("event_type", in: body)
    guard !Self.reservedCategories.contains(category) else {
      throw Problem(
        .reservedCategory, "events of \(category) are written by the shop's own commands",
        field: "aggregate_type")
    }
    let data = try body.object("data")
    try Self.checkKeys(of: data, in: "data")
    event = ProposedEvent(
      stream: StreamName(category: category, id: id), type: type, data: data)
    switch try body.integerIfPresent("expected_version") {
    case nil: expected = .any
    case 0: expected = .noStream
    case let version? where (1...positionMax).contains(version):
      expected = .exactly(Version(version))
    default: throw FieldError("expected_version", .invalid("must be at least 0"))
    }
    correlationID = try body.stringIfPresent("correlation_id").map(EventStoreReader.correlationID)
    metadata = try body.objectIfPresent("metadata") ?? [:]
    try Self.checkKeys(of: metadata, in: "metadata")
  }

  func commit(_ context: CommitContext) -> ProposedCommit {
    var context = context
    if let correlationID { context.correlationID = correlationID }
    // What the server saw itself stands above what the caller claims.
    context.metadata = Fields(metadata.pairs + context.metadata.pairs)
    return ProposedCommit(
      context: context, events: [event], expectations: [event.stream: expected])
  }

  private static func identifier(_ name: String, in body: Fields) throws(FieldError) -> String {
    let text = try body.string(name)
    guard StreamName.isLegal(text) else { throw FieldError(name, .invalid(illegalIdentifier)) }
    return text
  }

  /// A key that the storage could not hold must not reach it.
  private static func checkKeys(of fields: Fields, in path: String) throws(FieldError) {
    for entry in fields.entries {
      guard !entry.key.isEmpty, !entry.key.utf8.contains(0) else {
        throw FieldError(path, .invalid("has a key that is empty or holds a NUL"))
      }
      try checkKeys(of: entry.value, in: "\(path).\(entry.key)")
    }
  }

  private static func checkKeys(of value: Value, in path: String) throws(FieldError) {
    switch value {
    case .object(let fields): try checkKeys(of: fields, in: path)
    case .array(let values):
      for (index, value) in values.enumerated() {
        try checkKeys(of: value, in: "\(path)[\(index)]")
      }
    default: break
    }
  }
}
