import EventSourcing
import EventSourcingMongo
import Foundation
import MongoTesting
import Testing

@Suite("An append whose messages are lost")
struct LostMessageTests {
  /// Whether the driver sends a write again by itself.
  static let retrying = ["&retryWrites=true", "&retryWrites=false"]
  static let expectations: [ExpectedVersion] = [.any, .noStream]

  @Test(
    "an append that was done, and whose reply was cut, is a success at its true position",
    arguments: retrying, [1, 3])
  func replyCut(_ retry: String, _ times: Int) async throws {
    try await FaultRig.with(options: FaultRig.brisk + retry) { rig in
      var attempts: [Attempt] = []
      for (index, expected) in Self.expectations.enumerated() {
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .reply, of: "insert", times: times))
        let attempt = try await rig.attempt(.test("a\(index)", expecting: expected))
        #expect(attempt.position == Position(Int64(index) + 1))
        attempts.append(attempt)
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .reply, of: "insert", times: 1))
        try await rig.checkReuseIsRefused(attempt.commit)
        rig.proxy.heal()
      }
      #expect(rig.proxy.struck >= Self.expectations.count)
      try await rig.audit(attempts)
    }
  }

  @Test(
    "an append that never reached the server is written once, or not at all",
    arguments: retrying, [1, 3])
  func requestCut(_ retry: String, _ times: Int) async throws {
    try await FaultRig.with(options: FaultRig.brisk + retry) { rig in
      var attempts: [Attempt] = []
      for (index, expected) in Self.expectations.enumerated() {
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .request, of: "insert", times: times))
        let attempt = try await rig.attempt(.test("a\(index)", expecting: expected))
        #expect(attempt.isDoneOrNotDone)
        attempts.append(attempt)
        rig.proxy.heal()
      }
      #expect(rig.proxy.struck >= Self.expectations.count)
      try await rig.audit(attempts)
    }
  }

  @Test("a lost reply, and another process that writes on: each is there once")
  func replyCutAmongOthers() async throws {
    try await FaultRig.with(options: FaultRig.brisk + "&retryWrites=false") { rig in
      var attempts: [Attempt] = []
      for round in 0..<5 {
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .reply, of: "insert", times: 1))
        let mine = (0..<20).map { ProposedCommit.test("shared", "mine\(round)_\($0)") }
        let theirs = (0..<20).map { ProposedCommit.test("shared", "theirs\(round)_\($0)") }
        async let others = rig.attempt(all: theirs, on: rig.observer)
        attempts += try await rig.attempt(all: mine)
        attempts += try await others
      }
      for attempt in attempts { #expect(attempt.appended != nil) }
      #expect(rig.proxy.struck == 5)
      try await rig.audit(attempts)
    }
  }

  @Test("of two payloads under one command id one is done, also when replies are lost")
  func twoPayloads() async throws {
    try await FaultRig.with(options: FaultRig.brisk + "&retryWrites=false") { rig in
      for round in 0..<4 {
        let first = ProposedCommit.test("a", "b\(round)")
        var other = first
        other.context.fingerprint = "another payload"
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .reply, of: "insert", times: 1 + round % 2))
        let attempts = try await rig.attempt(all: [.test("a"), first, first, other, .test("a")])
        let theirs = try await rig.attempt(all: [other, first], on: rig.observer)
        rig.proxy.heal()
        #expect(attempts[3].isReused)
        #expect(theirs[0].isReused)
        #expect(Set([attempts[1], attempts[2], theirs[1]].map(\.position)).count == 1)
        try await rig.audit(Array(attempts[1...2]), others: 2 + 3 * round)
      }
    }
  }
}
