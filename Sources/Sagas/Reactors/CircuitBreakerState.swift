import EventSourcing

/// When requests to a service may go out, without I/O and without a clock.
///
/// So many are under way at a time; the others wait in line. After several in a row that could not
/// be sent the breaker opens: one request at a time goes out, as a probe, after a pause that grows.
/// The first that reaches the service closes the breaker, and the line moves on.
struct CircuitBreakerState: Sendable {
  struct Limits: Sendable {
    /// Requests under way while the breaker is closed.
    var requestsMax = 64
    /// Requests in a row that could not be sent, which open it.
    var refusalsMax = 5
    var firstPauseMilliseconds: Int64 = 500
    var pauseMillisecondsMax: Int64 = 2_000
    /// How often those in line are looked through while the breaker is closed.
    var sweepMilliseconds: Int64 = 100
  }

  /// Leave for one request.
  struct Pass: Sendable, Equatable {
    var isProbe: Bool
    var hasWaited: Bool
  }

  enum Answer: Sendable {
    /// The service was there, whatever it said.
    case reached
    /// Nobody was there.
    case refused
    /// No request was made.
    case unused
  }

  /// What one in line is told: a pass, or nil when its deadline is over.
  struct Call: Sendable, Equatable {
    var id: Int
    var pass: Pass?
  }

  private enum Phase: Sendable {
    case closed(refusals: Int)
    case open(probes: Int, next: Timestamp, isProbing: Bool)
  }

  let limits: Limits
  private var phase = Phase.closed(refusals: 0)
  private var underWay = 0
  private var line = Line()
  private var nextSweep = Timestamp(millisecondsSinceEpoch: 0)

  init(limits: Limits = Limits()) { self.limits = limits }

  var isOpen: Bool { if case .open = phase { true } else { false } }
  var waiting: Int { line.count }

  /// A pass, or nil for who has to wait in line; nobody overtakes those who do.
  mutating func enter(_ id: Int, deadline: Timestamp?, at now: Timestamp) -> Pass? {
    switch phase {
    case .closed where underWay < limits.requestsMax && line.count == 0:
      underWay += 1
      return Pass(isProbe: false, hasWaited: false)
    case .open(let probes, let next, false) where next <= now && line.count == 0:
      phase = .open(probes: probes, next: next, isProbing: true)
      underWay += 1
      return Pass(isProbe: true, hasWaited: false)
    case .closed, .open:
      line.append(id, deadline: deadline)
      return nil
    }
  }

  /// Who waits in line wants no more.
  mutating func remove(_ id: Int) { line.remove(id) }

  /// A request is over; answers who may go now.
  mutating func leave(_ pass: Pass, _ answer: Answer, at now: Timestamp) -> [Call] {
    underWay -= 1
    switch (phase, answer) {
    case (_, .reached): phase = .closed(refusals: 0)
    case (.closed(let refusals), .refused):
      phase =
        refusals + 1 < limits.refusalsMax
        ? .closed(refusals: refusals + 1)
        : .open(probes: 0, next: now.adding(milliseconds: pause(0)), isProbing: false)
    case (.open(let probes, _, _), .refused) where pass.isProbe:
      let next = now.adding(milliseconds: pause(probes + 1))
      phase = .open(probes: probes + 1, next: next, isProbing: false)
    case (.open(let probes, _, _), .unused) where pass.isProbe:
      phase = .open(probes: probes, next: now, isProbing: false)
    case (.closed, .unused), (.open, .refused), (.open, .unused): break
    }
    return isOpen ? [] : admitted(at: now)
  }

  /// When ``tick(at:)`` is to be called next; nil while there is nothing to wait for.
  var nextTick: Timestamp? {
    guard case .open(_, let next, false) = phase, line.count > 0 else { return nil }
    return min(next, line.earliestDeadline ?? next)
  }

  /// Time has passed: answers whose deadline is over, and who goes as a probe.
  mutating func tick(at now: Timestamp) -> [Call] {
    guard case .open(let probes, let next, false) = phase else { return [] }
    var calls = line.takeOverdue(at: now).map { Call(id: $0, pass: nil) }
    if next <= now, let first = line.takeFirst() {
      phase = .open(probes: probes, next: next, isProbing: true)
      underWay += 1
      calls.append(Call(id: first.id, pass: Pass(isProbe: true, hasWaited: true)))
    }
    return calls
  }

  private mutating func admitted(at now: Timestamp) -> [Call] {
    var calls: [Call] = []
    if line.count > 0, nextSweep <= now {
      nextSweep = now.adding(milliseconds: limits.sweepMilliseconds)
      calls = line.takeOverdue(at: now).map { Call(id: $0, pass: nil) }
    }
    while underWay < limits.requestsMax, let first = line.takeFirst() {
      if let deadline = first.deadline, deadline <= now {
        calls.append(Call(id: first.id, pass: nil))
      } else {
        underWay += 1
        calls.append(Call(id: first.id, pass: Pass(isProbe: false, hasWaited: true)))
      }
    }
    return calls
  }

  /// The pause before the probe that follows so many others.
  private func pause(_ probes: Int) -> Int64 {
    min(limits.pauseMillisecondsMax, limits.firstPauseMilliseconds << Int64(min(probes, 16)))
  }
}

extension CircuitBreakerState {
  /// Those who wait, in the order of their ids.
  private struct Line: Sendable {
    /// Nil: for ever.
    private var deadlines: [Int: Timestamp?] = [:]
    private var first = 0
    private var last = -1

    var count: Int { deadlines.count }

    var earliestDeadline: Timestamp? { deadlines.values.compactMap(\.self).min() }

    mutating func append(_ id: Int, deadline: Timestamp?) {
      first = deadlines.isEmpty ? id : min(first, id)
      last = max(last, id)
      deadlines[id] = .some(deadline)
    }

    mutating func remove(_ id: Int) { deadlines.removeValue(forKey: id) }

    mutating func takeFirst() -> (id: Int, deadline: Timestamp?)? {
      while !deadlines.isEmpty, first <= last {
        defer { first += 1 }
        if let deadline = deadlines.removeValue(forKey: first) { return (first, deadline) }
      }
      return nil
    }

    mutating func takeOverdue(at now: Timestamp) -> [Int] {
      let overdue = deadlines.compactMap { id, deadline in
        deadline.flatMap { $0 <= now ? id : nil }
      }
      for id in overdue { deadlines.removeValue(forKey: id) }
      return overdue.sorted()
    }
  }
}
