import EventSourcing

/// Starts the specification of a decider:
///
///     try given(Orders.self, .initiated(order)).when(.confirm).then(.confirmed(confirmation))
///
/// Every event, given or decided, is written and read back as the log would do it, so that each
/// specification also proves the codecs of its events.
public func given<D: Decider>(_ decider: D.Type, _ history: D.Event...) -> Specification<D> {
  Specification(history: history)
}

/// The same after a history that was put together elsewhere.
public func given<D: Decider>(_ decider: D.Type, history: [D.Event]) -> Specification<D> {
  Specification(history: history)
}

/// What has happened so far; ``when(_:)`` adds a command.
public struct Specification<D: Decider>: Sendable {
  private let history: [D.Event]

  init(history: [D.Event]) { self.history = history }

  public func when(_ command: D.Command) -> Decision {
    do {
      var state = D.state(after: try history.map(Self.reread))
      let given = history
      do {
        let events = try D.decide(command, state).map(Self.reread)
        for event in events { D.evolve(&state, event) }
        return Decision(history: given, command: command, state: state, result: .decided(events))
      } catch let rejection as D.Rejection {
        return Decision(
          history: given, command: command, state: state, result: .rejected(rejection))
      }
    } catch {
      return Decision(
        history: history, command: command, state: D.initial, result: .broken(error))
    }
  }

  /// Through the codec and back.
  private static func reread(_ event: D.Event) throws -> D.Event {
    try D.decode(type: event.type, schema: event.schema, data: event.data)
  }

  /// What a decider made of a command. The `then…` functions throw ``SpecificationFailure`` when it
  /// is not what they were given.
  public struct Decision: Sendable {
    fileprivate enum Result: Sendable {
      case decided([D.Event])
      case rejected(D.Rejection)
      /// An event could not be read back.
      case broken(any Error)
    }

    private let history: [D.Event]
    private let command: D.Command
    /// After the events that were decided; after the history alone when the command was rejected.
    public let state: D.State
    private let result: Result

    fileprivate init(
      history: [D.Event], command: D.Command, state: D.State, result: Result
    ) {
      self.history = history
      self.command = command
      self.state = state
      self.result = result
    }

    /// Exactly these events, in this order.
    public func then(_ expected: D.Event...) throws(SpecificationFailure)
    where D.Event: Equatable {
      guard case .decided(let events) = result, events == expected else {
        throw failure(expected: Self.list(expected))
      }
    }

    /// No event: the command was done already.
    public func thenNothing() throws(SpecificationFailure) {
      guard case .decided(let events) = result, events.isEmpty else {
        throw failure(expected: "nothing")
      }
    }

    public func thenRejected(_ expected: D.Rejection) throws(SpecificationFailure)
    where D.Rejection: Equatable {
      guard case .rejected(let rejection) = result, rejection == expected else {
        throw failure(expected: "the rejection \(expected)")
      }
    }

    /// The events that were decided, for demands that ``then(_:)`` cannot express.
    public func events() throws(SpecificationFailure) -> [D.Event] {
      guard case .decided(let events) = result else { throw failure(expected: "events") }
      return events
    }

    private func failure(expected: String) -> SpecificationFailure {
      let actual =
        switch result {
        case .decided(let events): Self.list(events)
        case .rejected(let rejection): "the rejection \(rejection)"
        case .broken(let error): "an event that cannot be read back: \(error)"
        }
      return SpecificationFailure(
        description: """
          given \(Self.list(history))
          when \(command)
          expected \(expected)
          but got \(actual)
          """)
    }

    private static func list(_ events: [D.Event]) -> String {
      if events.isEmpty { return "nothing" }
      return events.map { "\n  \($0.type) \(JSONWriter.text(.object($0.data)))" }.joined()
    }
  }
}

/// A decider does not do what its specification says.
public struct SpecificationFailure: Error, Sendable, CustomStringConvertible {
  public let description: String
}
