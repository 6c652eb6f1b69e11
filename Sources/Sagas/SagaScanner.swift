import Commerce
import EventSourcing

/// Looks whether anything hangs: who has not ended waits for a command, a timer or a person.
///
/// Read models say what is under way; what is wrong with a saga is decided on its own stream.
public struct SagaScanner: Sendable {
  /// What is under way, as read models know it.
  public struct Candidates: Sendable {
    /// The sagas that have not ended.
    public var sagas: @Sendable () async throws -> [String]
    /// Orders that were placed before a moment, and of which nothing has come yet.
    public var orders: @Sendable (Timestamp) async throws -> [OrderID]
    /// What is found already: choreographed orders, read models that have stopped.
    public var findings: @Sendable () async throws -> [SagaFinding]

    public init(
      sagas: @escaping @Sendable () async throws -> [String],
      orders: @escaping @Sendable (Timestamp) async throws -> [OrderID],
      findings: @escaping @Sendable () async throws -> [SagaFinding] = { [] }
    ) {
      self.sagas = sagas
      self.orders = orders
      self.findings = findings
    }
  }

  /// How long a saga that is sent a command again and again may stay where it is, in seconds.
  public static let olderThanSecondsDefault: Int64 = 600
  /// What is done at once by a process with the role `sagas` may take so long, in seconds.
  public static let graceSeconds: Int64 = 60
  /// Streams that are read at a time.
  private static let readersMax = 8

  private let log: any EventLog
  private let candidates: Candidates
  private let olderThanSeconds: Int64

  public init(
    log: any EventLog, candidates: Candidates,
    olderThanSeconds: Int64 = Self.olderThanSecondsDefault
  ) {
    self.log = log
    self.candidates = candidates
    self.olderThanSeconds = min(max(0, olderThanSeconds), SagaFilter.secondsMax)
  }

  /// Looks at everything that has not ended.
  public func scan(at now: Timestamp = .now) async throws -> SagaReport {
    var report = SagaReport()
    report.findings = try await candidates.findings()
    let sagas = try await candidates.sagas()
    report.sagas = sagas.count
    report.findings += try await findings(in: sagas) { try await saga($0, now) }
    let orders = try await candidates.orders(Self.grace(before: now))
    report.orders = orders.count
    report.findings += try await findings(in: orders) { try await order($0, now) }
    return report
  }

  // MARK: Parts

  private static func grace(before now: Timestamp) -> Timestamp {
    now.adding(seconds: -graceSeconds)
  }

  /// In the order of the candidates.
  private func findings<Candidate: Sendable>(
    in candidates: [Candidate],
    _ look: @escaping @Sendable (Candidate) async throws -> SagaFinding?
  ) async throws -> [SagaFinding] {
    try await withThrowingTaskGroup(of: (Int, SagaFinding?).self) { group in
      var found: [(Int, SagaFinding)] = []
      for (index, candidate) in candidates.enumerated() {
        if index >= Self.readersMax, let (index, finding) = try await group.next(), let finding {
          found.append((index, finding))
        }
        group.addTask { (index, try await look(candidate)) }
      }
      for try await case (let index, let finding?) in group { found.append((index, finding)) }
      return found.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  private func saga(_ id: String, _ now: Timestamp) async throws -> SagaFinding? {
    let operations = SagaOperations<OrderFulfilment>(log: log) { _, _ in [] }
    return try await operations.standing(of: id).flatMap { judge($0, now) }
  }

  /// Nil for a saga that goes on by itself, or has ended.
  func judge(_ saga: SagaStanding, _ now: Timestamp) -> SagaFinding? {
    func finding(
      _ kind: SagaFinding.Kind, since: Timestamp? = nil, _ text: String
    ) -> SagaFinding {
      SagaFinding(kind, saga.id, state: saga.state, since: since ?? saga.since, text: text)
    }
    if let suspension = saga.suspension {
      let input = suspension.input.map { " at the input of position \($0)" } ?? ""
      return finding(
        .suspended, since: saga.suspendedAt,
        "is suspended\(input): \(suspension.reason). Mend and resume it, or skip the input.")
    }
    if saga.hasEnded { return nil }
    if let task = saga.task {
      return finding(.blocked, "is \(saga.state): \(task). Retry it, or skip it on evidence.")
    }
    if let timer = saga.timer {
      guard timer.due < Self.grace(before: now) else { return nil }
      return finding(
        .timerOverdue, since: timer.due,
        "is \(saga.state), and its timer (\(timer.name)) was due at \(timer.due.iso8601): "
          + "does a process run the role sagas?")
    }
    if saga.pending.isEmpty {
      // Inputs that were parked are taken one after the other, at once.
      if !saga.parked.isEmpty, saga.movedAt > Self.grace(before: now) { return nil }
      return finding(
        .hangs,
        "hangs: it is \(saga.state) since \(saga.since.iso8601), and waits for no command, no "
          + "timer and no person.")
    }
    guard saga.since < now.adding(seconds: -olderThanSeconds) else { return nil }
    let commands = saga.pending.map(\.name).joined(separator: ", ")
    return finding(
      .notMoved,
      "is \(saga.state) since \(saga.since.iso8601), and nothing has come of \(commands).")
  }

  private func order(_ order: OrderID, _ now: Timestamp) async throws -> SagaFinding? {
    guard try await log.version(of: OrderFulfilment.stream(order.sagaID)) == .none,
      let placed = try await log.readStream(
        Orders.stream(order.text), from: Version(1), limit: 1
      ).first, OrderFulfilment.sagaID(for: placed) == order.sagaID,
      placed.timestamp < Self.grace(before: now)
    else { return nil }
    return SagaFinding(
      .noSaga, order.text, since: placed.timestamp,
      text:
        "was placed at \(placed.timestamp.iso8601) and has no saga: does a process run the role "
        + "sagas?")
  }
}
