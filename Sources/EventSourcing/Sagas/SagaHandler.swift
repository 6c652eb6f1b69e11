import Synchronization

/// Runs one kind of saga: commits each input once, then sends the commands of that commit.
///
/// Plugged into a ``Subscription`` by ``key(for:)`` and ``handle(_:)``. Two ways lead from a saga's
/// event to its commands. Usually they are sent as soon as the event is durable, or when all that
/// they do is to append to the same log, as soon as its append is queued: what they append then comes
/// behind it in the log or not at all. What could not be sent, or whose sender has died, is sent when
/// the subscription meets the saga's own event in the log: its checkpoint passes no event whose
/// commands are not acknowledged. Command ids make sending twice harmless.
public final class SagaHandler<P: ProcessManager>: Sendable {
  /// What happened since the process started.
  public struct Counts: Sendable {
    /// Commands that had to be sent again.
    public var resent = 0
    /// Commands that were read and are not acknowledged.
    public var unsent = 0
    /// Inputs that sagas were suspended at.
    public var suspended = 0
  }

  private let sagas: CommandHandler<Saga<P>>
  private let log: any EventLog
  private let dispatcher: any CommandDispatcher
  private let clock: @Sendable () -> Timestamp
  private let settings: [String: Int64]
  private let state = Mutex(Acknowledged())

  private struct Acknowledged {
    /// Of the saga's events, by position; met in the log they are done.
    var events: Set<Position> = []
    var counts = Counts()
  }

  /// - Parameters:
  ///   - settings: see ``SagaInput/settings``.
  ///   - clock: the time of inputs.
  public init(
    log: any EventLog, dispatcher: any CommandDispatcher, settings: [String: Int64] = [:],
    clock: @escaping @Sendable () -> Timestamp = { .now }
  ) {
    sagas = CommandHandler(log: log)
    self.log = log
    self.dispatcher = dispatcher
    self.settings = settings
    self.clock = clock
  }

  public var counts: Counts { state.withLock(\.counts) }

  /// The saga that an event moves, or whose event it is and has something to send.
  public func key(for event: Recorded) -> String? {
    guard event.stream.category == P.category else { return P.sagaID(for: event) }
    guard Self.isToBeCarriedOut(event) else { return nil }
    let isDone = state.withLock { $0.events.remove(event.position) != nil }
    return isDone ? nil : event.stream.id
  }

  private static func carriesCommands(_ data: Fields) -> Bool {
    data[OutgoingCommand.field]?.arrayValue?.isEmpty == false
  }

  private static func isToBeCarriedOut(_ event: Recorded) -> Bool {
    carriesCommands(event.data)
      || event.type == SagaMark.Kind.resumed.rawValue
      || event.type == SagaMark.Kind.skipped.rawValue
  }

  /// Handles an event. Throws when it should be handled again.
  /// - Returns: what could not be done now and need not keep the saga's next inputs waiting.
  public func handle(_ event: Recorded) async throws -> Subscription.Remainder? {
    guard event.stream.category == P.category else {
      guard let id = P.sagaID(for: event) else { return nil }
      try await advance(id, .event(event), cause: event)
      return nil
    }
    if state.withLock({ $0.events.remove(event.position) != nil }) { return nil }
    try await takeParked(after: event)
    do {
      try await send(commandsOf: event)
      return nil
    } catch {
      if error is CancellationError { throw error }
      state.withLock { $0.counts.unsent += 1 }
      return { [self] in
        state.withLock { $0.counts.resent += 1 }
        try await send(commandsOf: event)
        state.withLock { $0.counts.unsent -= 1 }
      }
    }
  }

  /// Wakes a saga. A timer of an older epoch does nothing. Its commands are sent when the
  /// subscription meets the saga's event.
  public func fire(_ timer: SagaTimer, of id: String, setBy event: Recorded) async throws {
    try await carryOut(.timer(epoch: timer.epoch), on: id, cause: event)
  }

  // MARK: Parts

  /// The inputs that came while the saga was suspended, in order.
  private func takeParked(after mark: Recorded) async throws {
    let id = mark.stream.id
    guard SagaMark.Kind(rawValue: mark.type) != nil else { return }
    while true {
      sagas.forget([id])
      let saga = try await sagas.state(of: id).state
      guard saga.suspension == nil, let next = saga.parked.first else { return }
      guard let event = try await log.events(at: [next]).first else { return }
      try await carryOut(.parked(event, since: mark.position), on: id, cause: event)
    }
  }

  private func advance(
    _ id: String, _ cause: SagaInput.Cause, cause event: Recorded
  ) async throws {
    var ahead: [Int: [Refusal]] = [:]
    let outcome = try await carryOut(cause, on: id, cause: event) { [self] ticket, commit in
      ahead = [:]
      guard dispatcher.isAppending else { return }
      for index in commit.events.indices where Self.carriesCommands(commit.events[index].data) {
        ahead[index] = try? await AppendTicket.$preceding.withValue(ticket) {
          try await dispatch(commit.events[index].data, for: CommandCause(index, of: commit))
        }
      }
    }
    // What was committed before a crash is sent when it is met in the log.
    if outcome.isRepeated { return }
    for event in outcome.events where Self.isToBeCarriedOut(event) {
      do {
        if let refusals = ahead[event.index] {
          try await take(refusals, of: event)
        } else {
          try await send(commandsOf: event)
        }
        state.withLock { _ = $0.events.insert(event.position) }
      } catch {
        if error is CancellationError { throw error }
      }
    }
  }

  private func send(commandsOf event: Recorded) async throws {
    try await take(try await dispatch(event.data, for: CommandCause(event)), of: event)
  }

  private typealias Refusal = (command: OutgoingCommand, reason: String)

  /// Sends the commands of an event. Answers those that were refused.
  private func dispatch(_ data: Fields, for cause: CommandCause) async throws -> [Refusal] {
    var refusals: [Refusal] = []
    for command in try OutgoingCommand.commands(in: data) {
      do {
        try await dispatcher.dispatch(command, causation: cause)
      } catch let refusal as CommandRefused {
        refusals.append((command, refusal.reason))
      }
    }
    return refusals
  }

  /// Refusals are answers.
  private func take(_ refusals: [Refusal], of event: Recorded) async throws {
    for (command, reason) in refusals {
      try await advance(
        event.stream.id, .refused(command, reason: reason, by: event.position), cause: event)
    }
  }

  @discardableResult
  private func carryOut(
    _ cause: SagaInput.Cause, on id: String, cause event: Recorded,
    meanwhile: CommandHandler<Saga<P>>.Meanwhile? = nil
  ) async throws -> CommandHandler<Saga<P>>.Outcome {
    let input = SagaInput(cause, saga: id, at: clock(), settings: settings)
    let context = CommitContext(
      commandID: CommandID(effect: "\(P.name)/\(id)/\(input.key)"),
      correlationID: event.correlationID, causationID: event.eventID, timestamp: input.at,
      serviceName: "sagas", metadata: event.header.context.metadata)
    CrashPoint.pass("before the saga's commit on \(input.key)")
    let outcome = try await carryOut(input, on: id, context, meanwhile)
    CrashPoint.pass("after the saga's commit on \(input.key)")
    if outcome.events.contains(where: { $0.type == SagaMark.Kind.suspended.rawValue }) {
      state.withLock { $0.counts.suspended += 1 }
    }
    return outcome
  }

  private func carryOut(
    _ input: SagaInput, on id: String, _ context: CommitContext,
    _ meanwhile: CommandHandler<Saga<P>>.Meanwhile?
  ) async throws -> CommandHandler<Saga<P>>.Outcome {
    if case .event(let event) = input.cause, P.begins(with: event) {
      return try await sagas.begin(input, on: id, context: context, meanwhile: meanwhile)
    }
    return try await sagas.handle(input, on: id, context: context, meanwhile: meanwhile)
  }
}
