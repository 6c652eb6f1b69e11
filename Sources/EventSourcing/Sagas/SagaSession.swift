import Logging

/// One kind of saga at work, from taking its subscription over to giving it up: the handler and the
/// timers, both new, since what another process did meanwhile is in the log alone.
public struct SagaSession<P: ProcessManager>: Sendable {
  public let handler: SagaHandler<P>
  public let timers: TimerKeeper

  /// - Parameter waiting: the sagas that wait for timers; nil: they are looked for in the whole log.
  public init(
    log: any EventLog, dispatcher: any CommandDispatcher, logger: Logger,
    settings: [String: Int64] = [:], waiting: TimerKeeper.Source? = nil,
    clock: @escaping @Sendable () -> Timestamp = { .now },
    sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
  ) {
    handler = SagaHandler(log: log, dispatcher: dispatcher, settings: settings, clock: clock)
    timers = TimerKeeper(
      category: P.category, log: log, logger: logger, source: waiting, clock: clock, sleep: sleep)
  }

  /// For ``Subscription/Begin``.
  public func begin(after position: Position) async throws -> Subscription.Session {
    try await timers.load(upTo: position)
    return Subscription.Session(
      key: { event in
        timers.note(event)
        return handler.key(for: event)
      },
      handle: handler.handle,
      companion: { await timers.run(handler.fire(_:of:setBy:)) })
  }
}
