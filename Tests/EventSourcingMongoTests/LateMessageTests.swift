import EventSourcing
import EventSourcingMongo
import Foundation
import MongoTesting
import Testing

@Suite("An append whose messages are late", .serialized)
struct LateMessageTests {
  @Test("without any reply the outcome is unknown, after a bounded time; later the truth is told")
  func noReplies() async throws {
    try await FaultRig.with(options: FaultRig.impatient) { rig in
      let before = try await rig.attempt(.test("a"))
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .reply))
      let attempts = try await rig.attempt(
        all: [.test("a"), .test("b", expecting: .noStream), .test("a")])
      #expect(attempts[0].isUnknown)
      for attempt in attempts {
        #expect(attempt.isUnknown || attempt.isNotDone)
      }
      rig.proxy.heal()
      try await rig.checkReuseIsRefused(before.commit)
      let truth = try await rig.attempt(attempts[0].commit)
      #expect(truth.position == Position(2))
      try await rig.checkReuseIsRefused(attempts[0].commit)
      try await rig.audit([before] + attempts)
    }
  }

  @Test(
    "while an outcome is unknown, so is that of a repetition",
    arguments: [FaultRig.impatient, FaultRig.brisk + "&socketTimeoutMS=60000"])
  func repetitionOfUnknown(_ options: String) async throws {
    try await FaultRig.with(options: options) { rig in
      let before = try await rig.attempt(.test("a"))
      let commit = ProposedCommit.test("a")
      let ticket = try await rig.enqueue(commit, meeting: .hold, .reply)
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .reply))
      // Neither is sent, but one of them may be done.
      let waiting = try await rig.attempt(all: [commit, .test("b")])
      #expect(waiting[0].isUnknown)
      #expect(waiting[1].isNotDone)
      let first = try await rig.attempts([commit], [ticket])
      #expect(first[0].isUnknown)
      rig.proxy.heal()
      let later = try await rig.attemptsUntilAppended(.test("a"))
      try await rig.audit([before, waiting[1]] + first + later)
    }
  }

  @Test("what was built on an append whose reply is lost, and not sent, can be decided again")
  func builtOnLostReply() async throws {
    try await FaultRig.with(options: FaultRig.brisk + "&retryWrites=false") { rig in
      let before = try await rig.attempt(.test("a"))
      var commits = [ProposedCommit.test("a")]
      var tickets = [try await rig.enqueue(commits[0], meeting: .hold, .reply)]
      for _ in 0..<30 {
        var commit = ProposedCommit.test("a")
        commit.builtOn = [tickets[tickets.count - 1]]
        commits.append(commit)
        tickets.append(rig.log.enqueue(commit))
      }
      rig.proxy.refuse()
      try rig.proxy.admit()
      let attempts = try await rig.attempts(commits, tickets)
      #expect(attempts[0].position == Position(2))
      #expect(attempts[1...].allSatisfy { $0.isConflict })
      // A repetition of what failed with its base fails again: only the first is audited.
      rig.proxy.heal()
      try await rig.audit([before, attempts[0]])
    }
  }

  @Test("what was done and not seen yet stays unknown, though later appends got in")
  func unseenBehindLaterOnes() async throws {
    try await FaultRig.with(options: FaultRig.brisk + "&retryWrites=false") { rig in
      let before = try await rig.attempt(.test("a"))
      var commits = [ProposedCommit.test("a", expecting: .exactly(Version(1)))]
      var tickets = [try await rig.enqueue(commits[0], meeting: .hold, .reply)]
      // Of these the first gets in, and the second is a command that was done before.
      commits += [.test("b", expecting: .noStream), before.commit]
      commits += (0..<30).map { .test("c\($0)", expecting: .noStream) }
      tickets += commits[1...].map(rig.log.enqueue)
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .request, of: "insert", times: 1))
      rig.proxy.refuse()
      try rig.proxy.admit()
      try await rig.waitForFaults(2)
      rig.proxy.heal()
      rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .request, of: "find"))
      let attempts = try await rig.attempts(commits, tickets)
      #expect(attempts[0].isUnknown)
      #expect(attempts[1].appended != nil)
      #expect(attempts[2].isUnknown)
      rig.proxy.heal()
      let later = try await rig.attemptsUntilAppended(.test("a"))
      try await rig.audit([before] + attempts + later)
    }
  }

  @Test("a refusal that nobody can check is unknown, after a bounded time")
  func refusalInTheDark() async throws {
    // Longer than the test is patient: nothing but the log itself bounds the time.
    try await FaultRig.with(options: FaultRig.brisk + "&socketTimeoutMS=60000") { rig in
      let first = try await rig.attempt(.test("a", expecting: .noStream))
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .request, of: "find"))
      let refused = try await rig.attempt(.test("a", expecting: .noStream))
      #expect(refused.isUnknown)
      // Meanwhile others go on.
      let other = try await rig.attempt(.test("b", expecting: .noStream))
      #expect(other.appended != nil)
      rig.proxy.heal()
      try await rig.audit([first, refused, other])
    }
  }

  @Test("of a batch that met a repetition which nobody can look up, what got through is told")
  func repetitionInTheDark() async throws {
    try await FaultRig.with(options: FaultRig.brisk + "&socketTimeoutMS=60000") { rig in
      let before = try await rig.attempt(.test("a"))
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .request, of: "find", times: 1))
      rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .request, of: "find"))
      // The first one is sent alone, the others together.
      var attempts = try await rig.attempt(
        all: [.test("b", expecting: .noStream), .test("c", expecting: .noStream), before.commit])
      #expect(attempts[..<2].allSatisfy { $0.appended != nil })
      #expect(attempts[2].isUnknown)
      // Looking fails at last, and is tried again.
      rig.proxy.refuse()
      try rig.proxy.admit()
      try await rig.waitForFaults(3)
      rig.proxy.heal()
      attempts += try await rig.attemptsUntilAppended(.test("a"))
      try await rig.audit([before] + attempts)
    }
  }

  enum Meanwhile: CaseIterable {
    case nothing
    case anotherProcessWrites
    case serverIsGone
  }

  @Test(
    "a write that is still on its way when its caller is answered never makes the answer a lie",
    arguments: LostMessageTests.retrying, Meanwhile.allCases)
  func lateWrite(_ retry: String, _ meanwhile: Meanwhile) async throws {
    try await FaultRig.with(options: FaultRig.impatient + retry) { rig in
      var attempts = [try await rig.attempt(.test("a"))]
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .request, of: "insert"))
      let late = ProposedCommit.test("a")
      let ticket = rig.log.enqueue(late)
      while rig.proxy.struck == 0 { try await Task.sleep(for: .milliseconds(2)) }
      switch meanwhile {
      case .nothing: break
      case .anotherProcessWrites:
        attempts.append(try await rig.attempt(.test("a"), on: rig.observer))
      case .serverIsGone: rig.proxy.refuse()
      }
      let outcome = try await ticket.outcome(within: .seconds(30))
      if meanwhile == .serverIsGone { try rig.proxy.admit() }
      // What was held reaches the server now.
      rig.proxy.heal()
      attempts += try await rig.attemptsUntilAppended(.test("a"))
      try await Task.sleep(for: .milliseconds(200))
      attempts.append(Attempt(commit: late, outcome: outcome))
      try await rig.audit(attempts)
    }
  }

  @Test("a late reply changes nothing", arguments: LostMessageTests.retrying)
  func lateReply(_ retry: String) async throws {
    try await FaultRig.with(options: FaultRig.impatient + retry) { rig in
      var attempts: [Attempt] = []
      for index in 0..<3 {
        rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .reply, of: "insert", times: 1))
        let attempt = try await rig.attempt(.test("a", "b\(index)"))
        #expect(attempt.position == Position(Int64(index) * 2 + 2))
        attempts.append(attempt)
        rig.proxy.heal()
      }
      try await rig.audit(attempts)
    }
  }
}
