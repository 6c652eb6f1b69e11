import EventSourcing
import Synchronization

/// Lets requests to the payment provider out, see ``CircuitBreakerState``. Who waits costs nothing
/// but its place in line: one timer serves all, and only while the breaker is open.
final class CircuitBreaker: Sendable {
  typealias Pass = CircuitBreakerState.Pass

  private struct Shared {
    var state: CircuitBreakerState
    var nextID = 0
    var waiting: [Int: CheckedContinuation<Pass?, any Error>] = [:]
    /// Cancelled before they had a place in line.
    var cancelled: Set<Int> = []
    var hasTimer = false
  }

  private let shared: Mutex<Shared>
  private let clock: ReactorClock

  init(clock: ReactorClock, limits: CircuitBreakerState.Limits = .init()) {
    shared = Mutex(Shared(state: CircuitBreakerState(limits: limits)))
    self.clock = clock
  }

  /// Whether the service is taken for gone.
  var isOpen: Bool { shared.withLock(\.state.isOpen) }

  /// Sends when the service may be asked; nil when that is not before `deadline` (told up to one
  /// request's time late). A ``PaymentGatewayError/notSent(_:)`` counts against the service; any
  /// other error that is no ``PaymentGatewayError`` means that nothing was sent.
  func request<Outcome: Sendable>(
    before deadline: Timestamp?, _ send: (_ hasWaited: Bool) async throws -> Outcome
  ) async throws -> Outcome? {
    guard let pass = try await enter(before: deadline) else { return nil }
    do {
      let outcome = try await send(pass.hasWaited)
      leave(pass, .reached)
      return outcome
    } catch {
      leave(pass, Self.answer(error))
      throw error
    }
  }

  private static func answer(_ error: any Error) -> CircuitBreakerState.Answer {
    // What ends with its task says nothing about the service.
    if Task.isCancelled { return .unused }
    switch error {
    case PaymentGatewayError.notSent: return .refused
    case PaymentGatewayError.unknown: return .reached
    default: return .unused
    }
  }

  private func enter(before deadline: Timestamp?) async throws -> Pass? {
    let id = shared.withLock { shared in
      shared.nextID += 1
      return shared.nextID
    }
    defer { if Task.isCancelled { forget(id) } }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let decided: Result<Pass, any Error>? = shared.withLock { shared in
          if shared.cancelled.remove(id) != nil { return .failure(CancellationError()) }
          if let pass = shared.state.enter(id, deadline: deadline, at: clock.now()) {
            return .success(pass)
          }
          shared.waiting[id] = continuation
          return nil
        }
        if let decided { continuation.resume(with: decided.map(Optional.some)) }
        keepTime()
      }
    } onCancel: {
      cancel(id)
    }
  }

  private func cancel(_ id: Int) {
    let continuation = shared.withLock { shared in
      shared.state.remove(id)
      let continuation = shared.waiting.removeValue(forKey: id)
      if continuation == nil { shared.cancelled.insert(id) }
      return continuation
    }
    continuation?.resume(throwing: CancellationError())
  }

  private func forget(_ id: Int) { shared.withLock { _ = $0.cancelled.remove(id) } }

  private func leave(_ pass: Pass, _ answer: CircuitBreakerState.Answer) {
    change { $0.leave(pass, answer, at: clock.now()) }
    keepTime()
  }

  private func change(_ body: (inout CircuitBreakerState) -> [CircuitBreakerState.Call]) {
    let calls = shared.withLock { shared in
      body(&shared.state).map { (shared.waiting.removeValue(forKey: $0.id), $0.pass) }
    }
    for (continuation, pass) in calls { continuation?.resume(returning: pass) }
  }

  /// Starts the timer when there is something to wait for and it does not run.
  private func keepTime() {
    let mustStart = shared.withLock { shared in
      guard !shared.hasTimer, shared.state.nextTick != nil else { return false }
      shared.hasTimer = true
      return true
    }
    guard mustStart else { return }
    Task {
      while let next = nextTick() {
        let pause = next.millisecondsSinceEpoch - clock.now().millisecondsSinceEpoch
        if pause > 0 { try? await clock.sleep(.milliseconds(pause)) }
        change { $0.tick(at: clock.now()) }
      }
    }
  }

  /// Nil ends the timer.
  private func nextTick() -> Timestamp? {
    shared.withLock { shared in
      let next = shared.state.nextTick
      if next == nil { shared.hasTimer = false }
      return next
    }
  }
}
