import EventSourcing
import EventSourcingMongo
import Foundation
import Logging
import Mongo
import MongoTesting
import Testing

/// A log whose network and server can be made to fail, and a second one, as of another process,
/// whose network cannot.
struct FaultRig {
  /// Short limits, so that a test of what happens when the server is gone is short too.
  static let brisk = "&serverSelectionTimeoutMS=2000&heartbeatFrequencyMS=500"
  /// Short ones also for a server that does not answer. Too short for many such tests at a time.
  static let impatient = brisk + "&socketTimeoutMS=1500"

  /// By then every append has an answer, with those limits and on a busy machine.
  private static let patience: Duration = .seconds(30)

  let proxy: ReplyCuttingProxy
  let uri: MongoURI
  let log: MongoLog
  let observer: MongoLog
  /// Never appends, so that whatever it reads comes from the database.
  let auditor: MongoLog
  /// By which the server knows the clients behind the proxy.
  let appName: String

  /// Runs a test with a proxy before the server that all tests share.
  static func with(
    options: String = brisk, _ body: (FaultRig) async throws -> Void
  ) async throws {
    try await with(.shared, options: options, body)
  }

  /// Runs a test that lets the server itself fail: one at a time, see ``ServerFaultTests``.
  static func withBreakableServer(
    options: String = brisk, _ body: (FaultRig, ServerFaults) async throws -> Void
  ) async throws {
    let faults = try await TestMongod.breakable.faults()
    do {
      try await with(.breakable, options: options) { try await body($0, faults) }
    } catch {
      try await faults.heal()
      throw error
    }
    try await faults.heal()
  }

  private static func with(
    _ mongod: TestMongod, options: String, _ body: (FaultRig) async throws -> Void
  ) async throws {
    let port = try await mongod.port()
    let proxy = try ReplyCuttingProxy(serverPort: port)
    defer { proxy.close() }
    let database = "test_" + UUID().uuidString.prefix(8).lowercased()
    let appName = "faulty-\(database)"
    let direct = try MongoURI(
      "mongodb://127.0.0.1:\(port)/\(database)?replicaSet=rs0&appName=observer"
        + "&socketTimeoutMS=30000&wtimeoutMS=30000")
    let uri = try MongoURI(
      "mongodb://127.0.0.1:\(proxy.port)/\(database)?replicaSet=rs0&appName=\(appName)\(options)")
    let observer = try await open(direct)
    let log = try await openPatiently(uri)
    try await body(
      FaultRig(
        proxy: proxy, uri: uri, log: log, observer: observer, auditor: try await open(direct),
        appName: appName))
  }

  /// A further log, as of another process.
  static func open(_ uri: MongoURI) async throws -> MongoLog {
    try await MongoLog.open(
      MongoDatabase(uri, waitMax: .seconds(20)),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// The same, though a busy server may take longer than the clients of that URI wait.
  private static func openPatiently(_ uri: MongoURI) async throws -> MongoLog {
    for _ in 0..<5 {
      if let log = try? await open(uri) { return log }
    }
    return try await open(uri)
  }

  /// Appends and answers the outcome, which must come in a bounded time.
  func attempt(_ commit: ProposedCommit, on log: MongoLog? = nil) async throws -> Attempt {
    let ticket = (log ?? self.log).enqueue(commit)
    return Attempt(commit: commit, outcome: try await ticket.outcome(within: Self.patience))
  }

  /// Appends all at the same time.
  func attempt(all commits: [ProposedCommit], on log: MongoLog? = nil) async throws -> [Attempt] {
    try await attempts(commits, commits.map { (log ?? self.log).enqueue($0) })
  }

  /// The answers to what is queued, which must come in a bounded time.
  func attempts(
    _ commits: [ProposedCommit], _ tickets: [AppendTicket]
  ) async throws -> [Attempt] {
    var attempts: [Attempt] = []
    for (commit, ticket) in zip(commits, tickets) {
      attempts.append(
        Attempt(commit: commit, outcome: try await ticket.outcome(within: Self.patience)))
    }
    return attempts
  }

  /// Queues an append whose insert meets a fault of the network, once; answers when it has.
  func enqueue(
    _ commit: ProposedCommit, meeting action: ReplyCuttingProxy.Fault.Action,
    _ stage: ReplyCuttingProxy.Fault.Stage
  ) async throws -> AppendTicket {
    let struck = proxy.struck
    proxy.inject(ReplyCuttingProxy.Fault(action, stage, of: "insert", times: 1))
    let ticket = log.enqueue(commit)
    try await waitForFaults(struck + 1)
    return ticket
  }

  /// Waits until faults of the network have met so many messages.
  func waitForFaults(_ count: Int) async throws {
    while proxy.struck < count { try await Task.sleep(for: .milliseconds(2)) }
  }

  /// Appends the same anew, each time as another command, until one got through: it may take the
  /// driver a moment to find a server that has come back, and until then nothing is done.
  func attemptsUntilAppended(_ commit: @autoclosure () -> ProposedCommit) async throws -> [Attempt]
  {
    let deadline = ContinuousClock.now + Self.patience
    var attempts: [Attempt] = []
    repeat {
      attempts.append(try await attempt(commit()))
      if attempts.last?.appended != nil { return attempts }
      #expect(attempts.last?.isNotDone == true)
    } while ContinuousClock.now < deadline
    Issue.record("nothing gets through")
    return attempts
  }

  /// Appends the same command with another payload, which must be refused, and checks that.
  func checkReuseIsRefused(_ commit: ProposedCommit) async throws {
    var other = commit
    other.context.fingerprint = "another payload"
    let attempt = try await attempt(other)
    #expect(attempt.isReused)
  }

  /// What the log holds, by command.
  func stored() async throws -> [CommandID: RecordedCommit] {
    var stored: [CommandID: RecordedCommit] = [:]
    var position = Position.start
    while true {
      let page = try await auditor.read(after: position, limit: 2000)
      for commit in page { stored[commit.header.context.commandID] = commit }
      guard let last = page.last else { return stored }
      position = last.header.lastPosition
    }
  }

  /// Holds answers against the log: what was acknowledged is there, at the position that was told;
  /// what was refused or not done is not; nothing else is; the chain holds. Then sends every
  /// command again, which must get its first answer. In the end every place in the queue is free.
  /// - Parameter others: commits that the test wrote besides.
  func audit(_ attempts: [Attempt], others: Int = 0) async throws {
    proxy.heal()
    let stored = try await stored()
    for attempt in attempts {
      let place = stored[attempt.id].map { "at \($0.header.lastPosition)" } ?? "nowhere"
      #expect(attempt.isTrue(given: stored[attempt.id]), "the log has it \(place)")
    }
    let asked = Set(attempts.map(\.id))
    #expect(stored.count == asked.intersection(stored.keys).count + others)
    #expect(try await LogVerifier(observer.database).verify().corruption == nil)

    let again = try await attempt(all: attempts.map(\.commit))
    for (first, second) in zip(attempts, again) {
      if let earlier = stored[first.id], !first.isReused {
        #expect(second.isRepetition(of: earlier))
      } else if first.isConflict || first.isReused {
        #expect(second.isConflict == first.isConflict)
        #expect(second.isReused == first.isReused)
      }
    }
    let report = try await LogVerifier(observer.database).verify()
    #expect(report.corruption == nil)
    #expect(report.commits >= stored.count)
    #expect(report.commits <= asked.count + others)

    try await checkQueueIsEmpty()
  }

  /// Checks that every place in the queue is free, once and not twice.
  func checkQueueIsEmpty() async throws {
    // A caller has its answer a moment before its place is free.
    let deadline = ContinuousClock.now + Self.patience
    while log.outstanding > 0, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(log.outstanding == 0)
  }
}

/// An append and its answer.
struct Attempt: Sendable, CustomTestStringConvertible {
  var commit: ProposedCommit
  var outcome: AppendTicket.Outcome

  var id: CommandID { commit.context.commandID }
  var appended: Appended? { try? outcome.get() }
  var position: Position? { appended?.position }
  var isConflict: Bool { failure is AppendConflict }
  var isReused: Bool { failure is CommandIDReused }

  var isInvalid: Bool {
    if case .invalid? = failure as? AppendFailure { true } else { false }
  }

  var isNotDone: Bool {
    if case .notDone? = failure as? AppendFailure { true } else { false }
  }

  var isOverloaded: Bool {
    if case .overloaded? = failure as? AppendFailure { true } else { false }
  }

  var isUnknown: Bool {
    if case .unknown(id)? = failure as? AppendFailure { true } else { false }
  }

  /// The caller knows where it stands.
  var isDoneOrNotDone: Bool { appended != nil || isNotDone }

  private var failure: (any Error)? {
    if case .failure(let error) = outcome { error } else { nil }
  }

  var testDescription: String {
    switch outcome {
    case .success(let appended):
      "\(id) at \(appended.position)\(appended.isRepeated ? ", repeated" : "")"
    case .failure(let error): "\(id): \(error)"
    }
  }

  func isRepetition(of stored: RecordedCommit) -> Bool {
    appended?.isRepeated == true && position == stored.header.lastPosition
      && appended?.commit.events.map(\.eventID) == stored.events.map(\.eventID)
  }

  /// Whether the answer is true, given what the log holds of the command.
  func isTrue(given stored: RecordedCommit?) -> Bool {
    switch outcome {
    case .success(let appended):
      position == stored?.header.lastPosition
        && stored?.events.map(\.eventID) == appended.commit.events.map(\.eventID)
        && stored?.events.map(\.version) == appended.commit.events.map(\.version)
        && stored?.events.map(\.stream) == commit.events.map(\.stream)
    case .failure where isReused:
      stored?.header.context.fingerprint != commit.context.fingerprint
    case .failure: isUnknown || stored == nil
    }
  }
}

extension AppendTicket {
  struct NeverSettled: Error {}

  /// The outcome; a test fails, and does not wait for ever, when there is none.
  func outcome(within limit: Duration) async throws -> Outcome {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
      if let settled { return settled }
      try await Task.sleep(for: .milliseconds(2))
    }
    throw NeverSettled()
  }
}

extension ProposedCommit {
  /// A commit of one event in each of these streams.
  static func test(
    _ ids: String..., command: CommandID = .random(),
    expecting expected: ExpectedVersion? = nil
  ) -> ProposedCommit {
    let streams = ids.map { StreamName(category: "things", id: $0) }
    return ProposedCommit(
      context: CommitContext(
        commandID: command, fingerprint: "first payload", timestamp: .now, serviceName: "test"),
      events: streams.map { ProposedEvent(stream: $0, type: "ThingHappened", data: ["n": 1]) },
      expectations: expected.map { expected in
        Dictionary(uniqueKeysWithValues: streams.map { ($0, expected) })
      } ?? [:])
  }
}
