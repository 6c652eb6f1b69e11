import EventSourcing

/// Who carries an order out.
public enum OrderSaga: String, Sendable, Hashable, CaseIterable {
  /// A saga that conducts: it asks for every step.
  case orchestrated
  /// Participants that react to each other's events.
  case choreographed

  /// Where the metadata of a choreographed order's commits says so. Those of other orders lack it.
  static let metadataKey = "saga"
}

extension CommitContext {
  /// The same context, marked for an order that `saga` carries out. Whoever answers an event with a
  /// commit copies its metadata, so the mark goes from the order's first event to all that follow.
  func marked(_ saga: OrderSaga) -> CommitContext {
    switch saga {
    case .orchestrated: return self
    case .choreographed:
      var marked = self
      marked.metadata[OrderSaga.metadataKey] = .string(saga.rawValue)
      return marked
    }
  }
}

extension OrderInitiated {
  /// Nil for a name that is not known here.
  public var carriedOutBy: OrderSaga? { OrderSaga(rawValue: saga) }
}

extension Recorded {
  /// Whether it belongs to a choreographed order: told by the mark alone, without a look at data.
  /// Only events of the shop's own categories are believed: others are written by anybody.
  public var isChoreographed: Bool {
    header.context.metadata[OrderSaga.metadataKey]
      == .string(OrderSaga.choreographed.rawValue)
  }
}
