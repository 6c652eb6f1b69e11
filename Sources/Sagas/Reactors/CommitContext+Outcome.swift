import EventSourcing

extension CommitContext {
  /// For the outcome of what `event` asked for. Its command id is made of the effect, so that an
  /// effect has one outcome.
  init(outcomeOf effectID: String, of event: Recorded, at time: Timestamp, by service: String) {
    self.init(
      commandID: CommandID(effect: "\(effectID)/outcome"),
      correlationID: event.correlationID, causationID: event.eventID, timestamp: time,
      serviceName: service, metadata: event.header.context.metadata)
  }
}
