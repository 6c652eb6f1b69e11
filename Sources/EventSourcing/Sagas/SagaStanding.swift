/// Where a saga stands, told by its own stream: what a person wants to know of it, and what it waits
/// for.
public struct SagaStanding: Sendable {
  public var id: String
  public var version: Version
  /// As in `charging`.
  public var state: String
  /// The rules that it goes by.
  public var definition: String
  /// Since when it is in its state.
  public var since: Timestamp
  /// Of its last event.
  public var movedAt: Timestamp
  public var hasEnded: Bool
  /// Commands whose outcome it waits for.
  public var pending: [OutgoingCommand]
  /// The timer that its last event has set or kept.
  public var timer: SagaTimer?
  public var suspension: SagaSuspension?
  /// When it was suspended.
  public var suspendedAt: Timestamp?
  /// Inputs that wait in line.
  public var parked: [Position]
  /// What a person is asked to do: an undo that does not succeed, a suspension, an event of a later
  /// program.
  public var task: String?
}

/// Which sagas are meant. What is nil does not restrict.
public struct SagaFilter: Sendable, Hashable {
  /// The state that stands for all that are suspended, whatever state they are in.
  public static let suspended = "suspended"

  /// A century: time can be reckoned with it.
  public static let secondsMax: Int64 = 3_155_760_000

  public var state: String?
  /// Only those that have been in their state for so long at least.
  public var olderThanSeconds: Int64?
  /// As in `order-fulfilment.v2`.
  public var definition: String?

  public init(state: String? = nil, olderThanSeconds: Int64? = nil, definition: String? = nil) {
    self.state = state
    self.olderThanSeconds = olderThanSeconds.map { min(max(0, $0), Self.secondsMax) }
    self.definition = definition
  }

  /// Whether it means every saga that has not ended.
  public var isEmpty: Bool { self == SagaFilter() }

  /// Whether a saga is one of those meant. Without a state these are the ones that have not ended.
  public func takes(_ saga: SagaStanding, at now: Timestamp) -> Bool {
    var since = saga.since
    switch state {
    case nil where saga.hasEnded: return false
    case Self.suspended?:
      guard let suspendedAt = saga.suspendedAt else { return false }
      since = suspendedAt
    case let state? where state != saga.state: return false
    default: break
    }
    if let definition, definition != saga.definition { return false }
    return olderThanSeconds.map { since <= now.adding(seconds: -$0) } ?? true
  }
}

/// A saga's stream, folded.
struct FoldedSaga<P: ProcessManager>: Sendable {
  let id: String
  private(set) var state = Saga<P>.initial
  private(set) var first: Recorded?
  private var last: Recorded?
  private var since: Timestamp?
  private var suspendedAt: Timestamp?

  /// Nil when there is no such saga, or was none before a position.
  init?(_ id: String, in log: any EventLog, before position: Position? = nil) async throws {
    self.id = id
    for event in try await log.stream(P.stream(id)) {
      if let position, event.position >= position { break }
      try take(event)
    }
    guard last != nil else { return nil }
  }

  private mutating func take(_ event: Recorded) throws {
    let before = first == nil ? nil : name
    Saga<P>.evolve(&state, try Saga<P>.decode(event))
    if before != name { since = event.timestamp }
    if state.suspension == nil {
      suspendedAt = nil
    } else {
      suspendedAt = suspendedAt ?? event.timestamp
    }
    first = first ?? event
    last = event
  }

  private var name: String { identity("state") }

  private func identity(_ key: String) -> String {
    P.identity(of: id, state.own)[key]?.stringValue ?? ""
  }

  var standing: SagaStanding? {
    guard let last else { return nil }
    return SagaStanding(
      id: id, version: last.version, state: name, definition: identity("definition"),
      since: since ?? last.timestamp, movedAt: last.timestamp,
      hasEnded: state.suspension == nil && P.hasEnded(state.own),
      pending: P.pendingCommands(of: state.own), timer: (try? SagaTimer(in: last)) ?? nil,
      suspension: state.suspension, suspendedAt: suspendedAt, parked: state.parked, task: task)
  }

  private var task: String? {
    if let suspension = state.suspension { return suspension.reason }
    if let unreadable = state.unreadable { return "this program is too old for it: \(unreadable)" }
    return P.task(of: state.own)
  }
}
