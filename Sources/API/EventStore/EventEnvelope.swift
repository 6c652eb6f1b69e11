import EventSourcing

extension Recorded {
  /// The event as every answer of the event store shows it.
  var envelope: Value {
    let context = header.context
    return .object(
      Fields(uniqueEntries: [
        .init(key: "event_id", value: .string(eventID.text)),
        .init(key: "event_type", value: .string(type)),
        .init(key: "aggregate_type", value: .string(stream.category)),
        .init(key: "aggregate_id", value: .string(stream.id)),
        .init(key: "timestamp", value: .string(timestamp.iso8601)),
        .init(key: "version", value: .integer(version.rawValue)),
        .init(key: "position", value: .integer(position.rawValue)),
        .init(key: "correlation_id", value: .string(correlationID.text)),
        .init(key: "causation_id", value: .optional(context.causationID?.text)),
        .init(key: "service_name", value: .string(context.serviceName)),
        .init(key: "data", value: .object(data)),
        .init(key: "metadata", value: .object(context.metadata)),
      ]))
  }
}
