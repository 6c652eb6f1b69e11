import EventSourcing
import EventSourcingMongo
import Foundation
import MongoTesting
import Testing

/// Fail points are the whole server's: one test at a time.
@Suite("An append that the server fails", .serialized)
struct ServerFaultTests {
  /// Shutdown, step-down, not the primary, recovering, interrupted by either.
  static let stateChanges: [Int32] = [91, 189, 10107, 13435, 11600, 11602]

  @Test(
    "an insert that was refused in a change of state is done once, or not at all",
    arguments: stateChanges, LostMessageTests.retrying)
  func refusedBefore(_ code: Int32, _ retry: String) async throws {
    try await FaultRig.withBreakableServer(options: FaultRig.brisk + retry) { rig, server in
      var attempts = [try await rig.attempt(.test("a"))]
      for times: Int32 in [1, 3] {
        let struck = try await server.struck
        try await server.inject(.error(code), of: rig.appName, times: times)
        let attempt = try await rig.attempt(.test("a", "b\(times)"))
        #expect(try await server.struck > struck)
        #expect(attempt.isDoneOrNotDone)
        try await server.heal()
        attempts.append(attempt)
      }
      try await rig.audit(attempts)
    }
  }

  /// The driver takes a second after each before it sends again: more of them would end in an
  /// unknown outcome on a busy machine.
  static let closings: [(String, Int32)] = [
    ("&retryWrites=true", 1), ("&retryWrites=true", 2), ("&retryWrites=true", 4),
    ("&retryWrites=false", 1), ("&retryWrites=false", 2), ("&retryWrites=false", 3),
  ]

  @Test(
    "an insert whose connection the server closed is done once, or not at all", arguments: closings)
  func closedConnection(_ retry: String, _ times: Int32) async throws {
    try await FaultRig.withBreakableServer(options: FaultRig.brisk + retry) { rig, server in
      let before = try await rig.attempt(.test("a"))
      let struck = try await server.struck
      try await server.inject(.closedConnection, of: rig.appName, times: times)
      let attempt = try await rig.attempt(.test("a"))
      #expect(try await server.struck > struck)
      #expect(attempt.isDoneOrNotDone)
      try await rig.audit([before, attempt])
    }
  }

  @Test(
    "an insert that was done, and answered with an error at the second try, is a success",
    arguments: [189, 11602, 11601, 50, 13, 8000] as [Int32], LostMessageTests.retrying)
  func doneBeforeTheError(_ code: Int32, _ retry: String) async throws {
    try await FaultRig.withBreakableServer(options: FaultRig.impatient + retry) { rig, server in
      let before = try await rig.attempt(.test("a"))
      let commit = ProposedCommit.test("a")
      let ticket = try await rig.enqueue(commit, meeting: .hold, .reply)
      // The first try is done; its reply never comes, and the second meets the error.
      try await server.inject(.error(code), of: rig.appName, times: 1)
      let attempts = try await rig.attempts([commit], [ticket])
      #expect(attempts[0].position == Position(2))
      try await rig.audit([before] + attempts)
    }
  }

  @Test("a command that may have been done is never called undone while nobody can look")
  func nobodyCanLook() async throws {
    try await FaultRig.withBreakableServer { rig, server in
      let first = try await rig.attempt(.test("a"), on: rig.observer)
      // It finds the ends of the log and of the stream, meets the key, and cannot look whose it is.
      try await server.inject(.error(13), on: ["find"], of: rig.appName, which: .allAfter(2))
      let repeated = try await rig.attempt(first.commit)
      #expect(repeated.isUnknown)
      try await server.heal()
      try await rig.audit([first, repeated])
    }
  }

  @Test(
    "an insert with a write concern error is a success only when it is known to be durable",
    arguments: [64, 91, 189, 11600, 11602] as [Int32], [1, 3] as [Int32])
  func writeConcernError(_ code: Int32, _ times: Int32) async throws {
    try await FaultRig.withBreakableServer { rig, server in
      let before = try await rig.attempt(.test("a"))
      let struck = try await server.struck
      try await server.inject(.writeConcernError(code), of: rig.appName, times: times)
      let attempt = try await rig.attempt(.test("a"))
      #expect(try await server.struck > struck)
      #expect(attempt.position == Position(2))
      try await rig.checkReuseIsRefused(attempt.commit)
      try await rig.audit([before, attempt])
    }
  }

  @Test("an insert with a write concern error that nobody can look up is unknown")
  func writeConcernErrorInTheDark() async throws {
    try await FaultRig.withBreakableServer { rig, server in
      let before = try await rig.attempt(.test("a"))
      try await server.inject(.writeConcernError(64), of: rig.appName, times: 1)
      rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .request, of: "find"))
      let attempt = try await rig.attempt(.test("a"))
      #expect(attempt.isUnknown)
      rig.proxy.heal()
      try await rig.audit([before, attempt])
    }
  }

  @Test("those found and those that nobody can look up each leave the queue once")
  func foundAndInTheDark() async throws {
    try await FaultRig.withBreakableServer { rig, server in
      let before = try await rig.attempt(.test("a", expecting: .noStream))
      let first = try await rig.enqueue(.test("b", expecting: .noStream), meeting: .hold, .reply)
      // That the first was done is found, the stream of the second is not looked up any more.
      try await server.inject(.error(13), on: ["find"], of: rig.appName, which: .allAfter(1))
      let found = rig.log.enqueue(before.commit)
      let dark = rig.log.enqueue(.test("a", expecting: .exactly(Version(9))))
      let others = (0..<20).map { rig.log.enqueue(.test("c\($0)", expecting: .noStream)) }
      rig.proxy.heal()
      for ticket in [first, found, dark] + others {
        _ = try await ticket.outcome(within: .seconds(30))
      }
      try await rig.checkQueueIsEmpty()
    }
  }

  @Test("what a majority does not have is not acknowledged, to nobody")
  func stalledMajority() async throws {
    let options = FaultRig.brisk + "&wtimeoutMS=300"
    try await FaultRig.withBreakableServer(options: options) { rig, server in
      let before = try await rig.attempt(.test("a"))
      let second = try await FaultRig.open(rig.uri)
      try await server.stallMajority()
      let commits = (0..<3).map { _ in ProposedCommit.test("a") }
      // The second process meets what the first has written: that it is there is not enough.
      var tickets = commits.map { ($0, rig.log.enqueue($0)) }
      try await Task.sleep(for: .milliseconds(500))
      tickets += commits.map { ($0, second.enqueue($0)) }
      try await Task.sleep(for: .milliseconds(2000))
      for (_, ticket) in tickets {
        if case .success = ticket.settled { Issue.record("acknowledged and not durable") }
      }
      try await server.heal()
      var attempts = [before]
      for (commit, ticket) in tickets {
        let outcome = try await ticket.outcome(within: .seconds(30))
        attempts.append(Attempt(commit: commit, outcome: outcome))
      }
      try await rig.audit(attempts)
    }
  }

  enum Interruption: CaseIterable {
    case killed
    case steppedDown
  }

  @Test(
    "an insert that ends half way through a batch leaves no append in doubt or doubled",
    arguments: LostMessageTests.retrying, Interruption.allCases)
  func halfDone(_ retry: String, _ interruption: Interruption) async throws {
    try await FaultRig.withBreakableServer(options: FaultRig.brisk + retry) { rig, server in
      let before = try await rig.attempt(.test("a"))
      try await server.hangInserts(after: 12)
      let commits = (0..<40).map { ProposedCommit.test("a", "b\($0)") }
      let tickets = commits.map(rig.log.enqueue)
      let hanging = try await server.hangingInsert()
      switch interruption {
      case .killed: try await server.kill(hanging)
      case .steppedDown: try await server.stepDown()
      }
      try await server.heal()
      try await rig.audit([before] + rig.attempts(commits, tickets))
    }
  }
}
