import Commerce
import EventSourcing
import Logging
import Projections
import Sagas

/// A rule that was broken.
struct Violation: Error, Sendable {
  /// As in `I12`.
  var invariant: String
  var what: String
}

/// Everything there is while a seed runs: the log, the processes, the provider, the customers, and
/// what goes wrong.
final class World: @unchecked Sendable {
  static let projections: [any Projection] = [
    OrdersProjection(), StockProjection(), SagasProjection(), ChoreographiesProjection(),
  ]

  private static let stepsMax = 4_000_000
  /// So long after the last fault everything has ended, in seconds. A blocked undo is tried again
  /// once an hour.
  private static let patience = 3.0 * 3600

  let plan: Plan
  let chance: Chance
  let log = InMemoryLog()
  let store = InMemoryReadModels()
  let scheduler: Scheduler
  private(set) var provider: SimulatedProvider!
  private(set) var logger = Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() }
  private(set) var processes: [SimulatedProcess] = []
  private(set) var events: [Recorded] = []
  /// No more faults.
  private(set) var isCalm = false
  private(set) var violation: Violation?
  private var invariants: Invariants!
  private var expected: [OrderID: OrderSaga] = [:]
  private var starts = 0
  private var points = 0
  private var refusals: [String: Int] = [:]
  private var isOver = false
  private let trace: ((String) -> Void)?

  init(seed: UInt64, trace: ((String) -> Void)? = nil) {
    plan = Plan(seed: seed)
    chance = Chance(seed: seed &+ 0x0C0F_FEE0)
    scheduler = Scheduler(seed: seed)
    self.trace = trace
    provider = SimulatedProvider(world: self)
    invariants = Invariants(provider)
    if trace != nil {
      logger = Logger(label: "trace") { _ in TracingLogHandler(world: self) }
      logger.logLevel = .debug
    }
  }

  /// Runs the world to its end.
  /// - Returns: the rule that was broken, if one was.
  func run() -> Violation? {
    tell("\(plan)")
    Task { await self.live() }
    let hasEnded = scheduler.run(stepsMax: Self.stepsMax) { self.isOver || self.violation != nil }
    if violation == nil, !hasEnded { violate("I13", "it goes on and on") }
    if violation == nil, !isOver { violate("I13", "everything waits for something") }
    if violation == nil {
      // What is left runs out, so that nothing stays in memory.
      _ = scheduler.run(stepsMax: Self.stepsMax) { false }
    }
    processes = []
    provider = nil
    return violation
  }

  private func live() async {
    do {
      try await Customers(world: self).setUp()
      for commit in try await log.read(after: .start, limit: .max) { didAppend(commit, by: nil) }
    } catch {
      return violate("setup", "\(error)")
    }
    for _ in 0..<plan.processes { startProcess() }
    let customers = Task { await Customers(world: self).run() }
    try? await Task.sleep(for: .seconds(plan.faultsEnd))
    await customers.value
    isCalm = true
    tell("no more faults")
    await waitUntilSettled()
    if violation == nil { await checkTheEnd() }
    for process in processes { process.die() }
    isOver = true
  }

  // MARK: Processes

  private func startProcess() {
    starts += 1
    let process = SimulatedProcess(name: "process\(starts)", world: self)
    processes.append(process)
    process.start()
  }

  func kill(_ process: SimulatedProcess) {
    process.die()
    let isLong = chance.happens(plan.isSlow ? 500 : 100)
    let pause: Duration =
      isLong ? .seconds(chance.number(in: 60...1500)) : chance.duration(upTo: .seconds(10))
    // The next process inherits nothing of what this one was doing.
    AppendTicket.$preceding.withValue(nil) {
      _ = Task {
        try? await Task.sleep(for: pause)
        if !self.isOver { self.startProcess() }
      }
    }
  }

  func isDead(_ name: String) -> Bool { !processes.contains { $0.name == name && $0.isAlive } }

  func anyProcess() -> SimulatedProcess? {
    let alive = processes.filter(\.isAlive)
    return alive.isEmpty ? nil : chance.one(of: alive)
  }

  // MARK: Faults

  /// Whether this goes wrong, this time.
  func fails(_ fault: KeyPath<Plan.Faults, Int>) -> Bool {
    !isCalm && chance.happens(plan.faults[keyPath: fault])
  }

  func isCrash() -> Bool {
    guard !isCalm, !plan.crashes.isEmpty else { return false }
    points += 1
    return plan.crashes.contains(points)
  }

  /// An undo is refused a few times at most.
  func mayRefuse(_ effectID: String) -> Bool {
    refusals[effectID, default: 0] += 1
    return refusals[effectID, default: 0] <= 4
  }

  var isProviderGone: Bool {
    let now = scheduler.seconds
    return !isCalm && plan.outages.contains { $0.from <= now && now < $0.to }
  }

  func isDeclined(_ order: OrderID) -> Bool {
    plan.declined > 0 && chance.happens(plan.declined)
  }

  // MARK: What happens

  var head: Position { events.last?.position ?? .start }

  func event(at position: Position) -> Recorded { events[Int(position.rawValue) - 1] }

  func expect(_ order: OrderID, _ saga: OrderSaga) { expected[order] = saga }

  func total(of order: OrderID) -> Money? { invariants.total(of: order) }

  func didAppend(_ commit: RecordedCommit, by process: SimulatedProcess?) {
    scheduler.noteActivity()
    for event in commit.events {
      tell(
        "\(process?.name ?? "setup"): [\(event.position)] \(event.stream) \(event.version) "
          + "\(event.type) \(summary(of: event))")
    }
    events += commit.events
    if let broken = invariants.take(commit) { violate(broken.invariant, broken.what) }
    for process in processes where process.isAlive { process.wake() }
  }

  private func summary(of event: Recorded) -> String {
    guard trace != nil else { return "" }
    let keys = ["state", "input", "finished", "commands", "timer", "quantity", "reason", "code"]
    return keys.compactMap { key -> String? in
      guard let value = event.data[key] else { return nil }
      if key == "commands" {
        let commands = (try? OutgoingCommand.commands(in: event)) ?? []
        return "commands=\(commands.map(\.effectID))"
      }
      return "\(key)=\(String(decoding: JSONWriter.bytes(value), as: UTF8.self))"
    }.joined(separator: " ")
  }

  func didCharge(_ order: OrderID) {
    scheduler.noteActivity()
    if provider.balance(of: order).captures > 1 { violate("I12", "\(order) is charged twice") }
  }

  /// What a subscription has done with must be in the log.
  func willSave(_ position: Position, of subscription: String) {
    if position > head { violate("I9", "\(subscription) stands behind the end of the log") }
  }

  func violate(_ invariant: String, _ what: String) {
    guard violation == nil else { return }
    tell("VIOLATED \(invariant): \(what)")
    violation = Violation(invariant: invariant, what: what)
  }

  func tell(_ line: @autoclosure () -> String) {
    guard let trace else { return }
    let milliseconds = Int(scheduler.seconds * 1000)
    let fraction = "\(1000 + milliseconds % 1000)".dropFirst()
    trace("\(milliseconds / 1000).\(fraction) \(line())")
  }

  // MARK: The end

  private func waitUntilSettled() async {
    let begin = scheduler.seconds
    var settledAt: Position?
    var pause = 2.0
    while violation == nil {
      try? await Task.sleep(for: .seconds(pause))
      pause = min(pause * 1.5, 600)
      let reason = unsettled()
      if reason == nil, settledAt == head { return }
      settledAt = reason == nil ? head : nil
      if scheduler.seconds - begin > Self.patience {
        return violate("I13", "after hours without a fault: \(reason ?? "it still writes")")
      }
    }
  }

  /// What is not yet at its end.
  private func unsettled() -> String? {
    let alive = processes.filter(\.isAlive)
    guard alive.count == plan.processes else { return "a process is not there" }
    for (place, subscription) in alive[0].subscriptions.enumerated() {
      let working = alive.map { $0.subscriptions[place] }.filter(\.isWorking)
      if working.isEmpty { return "nobody works on \(subscription.name)" }
      for one in working where one.progress.checkpoint < head {
        return "\(one.name) stands at \(one.progress), the log at \(head)"
      }
    }
    for order in expected.keys.sorted() {
      if let reason = invariants.unsettled(order) { return "\(order) \(reason)" }
    }
    return nil
  }

  private func checkTheEnd() async {
    for order in expected.keys.sorted() {
      if let broken = invariants.brokenAtTheEnd(order) {
        return violate(broken.invariant, broken.what)
      }
    }
    if let broken = invariants.differenceFromReplay(events) {
      return violate(broken.invariant, broken.what)
    }
    do {
      for projection in Self.projections {
        if let broken = try await difference(projection) {
          return violate(broken.invariant, broken.what)
        }
      }
    } catch {
      violate("I9", "\(error)")
    }
  }

  /// A read model folded in the world, or in batches, equals the one folded event by event.
  private func difference<P: Projection>(_ projection: P) async throws -> Violation? {
    let whole = try Self.rows(of: projection, events.map { [$0] })
    var batches: [[Recorded]] = []
    var rest = events[...]
    while !rest.isEmpty {
      let count = chance.number(in: 1...40)
      batches.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    guard whole == (try Self.rows(of: projection, batches)) else {
      return Violation(invariant: "I9", what: "\(projection.name) depends on its batches")
    }
    guard plan.hasProjections else { return nil }
    var progress = try await store.progress(of: projection.name)
    let begin = scheduler.seconds
    while (progress?.position ?? .start) < head, scheduler.seconds - begin < Self.patience {
      // Its driver may still be held up.
      try await Task.sleep(for: .seconds(5))
      progress = try await store.progress(of: projection.name)
    }
    guard let progress, progress.position >= head else {
      return Violation(
        invariant: "I9", what: "\(projection.name) lags: \(String(describing: progress))")
    }
    let stored = try await store.rows(of: progress.collection, after: nil, limit: .max)
    for row in stored where whole[row.id] != row.fields {
      return Violation(
        invariant: "I9", what: "\(projection.name) \(row.id) is not the fold of the log")
    }
    guard stored.count == whole.count else {
      return Violation(invariant: "I9", what: "\(projection.name) has other rows than the log")
    }
    return nil
  }

  private static func rows<P: Projection>(
    of projection: P, _ batches: [[Recorded]]
  ) throws -> [String: Fields] {
    var rows = FoldedRows<P.Row>()
    for batch in batches {
      rows.beginRound()
      let touches = projection.touches(of: batch, skipping: [])
      try projection.take([], absent: rows.missing(of: touches.ids), into: &rows)
      if let poison = projection.fold(touches, of: batch, into: &rows) { throw poison }
    }
    return Dictionary(
      uniqueKeysWithValues: projection.stored(rows.takeChanged()).map { ($0.id, $0.fields) })
  }
}

/// What the code under test logs, as lines of the trace.
private struct TracingLogHandler: LogHandler {
  unowned let world: World
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.debug

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(
    event: LogEvent
  ) {
    let details = metadata.merging(event.metadata ?? [:]) { $1 }
    let text = details.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    world.tell("log: \(event.message) \(text.joined(separator: " "))")
  }
}
