import EventSourcing

/// Something that does not go on by itself.
public struct SagaFinding: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// Has not ended, and waits for no command, no timer and no person.
    case hangs
    /// Its timer was due more than a minute ago: nobody fires it.
    case timerOverdue = "timer_overdue"
    /// Waits for a command without a deadline, and for too long.
    case notMoved = "not_moved"
    /// An order that a saga should carry out, and that has none.
    case noSaga = "no_saga"
    /// A choreographed order that has not moved for too long.
    case stuck
    /// A read model has stopped: what is newer was not looked at.
    case blind
    /// An undo does not succeed: a person is asked.
    case blocked
    /// It could not take an input: a person is asked.
    case suspended

    /// Otherwise it breaks a rule.
    public var needsPerson: Bool { self == .blocked || self == .suspended }
  }

  public var kind: Kind
  /// The saga, the order without one, or the read model.
  public var id: String
  public var state: String?
  public var since: Timestamp?
  /// For a person, without the id.
  public var text: String

  public init(
    _ kind: Kind, _ id: String, state: String? = nil, since: Timestamp? = nil, text: String
  ) {
    self.kind = kind
    self.id = id
    self.state = state
    self.since = since
    self.text = text
  }

  public var fields: Fields {
    [
      "kind": .string(kind.rawValue), "needs_person": .bool(kind.needsPerson), "id": .string(id),
      "state": state.map(Value.string) ?? .null,
      "since": since.map { .string($0.iso8601) } ?? .null, "text": .string(text),
    ]
  }
}

/// What a look at everything that is under way has found.
public struct SagaReport: Sendable {
  public var findings: [SagaFinding] = []
  /// How many sagas, and orders that may lack one, were looked at.
  public var sagas = 0
  public var orders = 0

  public var broken: [SagaFinding] { findings.filter { !$0.kind.needsPerson } }
  public var tasks: [SagaFinding] { findings.filter(\.kind.needsPerson) }

  public var fields: Fields {
    [
      "well": .bool(findings.isEmpty), "sagas": .integer(Int64(sagas)),
      "orders": .integer(Int64(orders)), "broken": .array(broken.map { .object($0.fields) }),
      "tasks": .array(tasks.map { .object($0.fields) }),
    ]
  }
}
