import EventSourcing
import EventSourcingMongo
import Foundation
import Mongo
import MongoTesting
import Testing

@Suite("An append, with a server that answers or none")
struct OutcomeTests {
  @Test("an acknowledged append is in the log, and the same command gets the same answer")
  func acknowledged() async throws {
    try await FaultRig.with { rig in
      let attempts = try await rig.attempt(
        all: (0..<20).map { .test("a", "b\($0)", command: .random()) })
      #expect(attempts.map(\.appended?.isRepeated) == Array(repeating: false, count: 20))
      for attempt in attempts { try await rig.checkReuseIsRefused(attempt.commit) }
      try await rig.audit(attempts)
    }
  }

  @Test("a version conflict leaves no event")
  func conflict() async throws {
    try await FaultRig.with { rig in
      let first = try await rig.attempt(.test("a", expecting: .noStream))
      #expect(first.position == Position(1))
      let refused = [
        try await rig.attempt(.test("a", expecting: .noStream)),
        try await rig.attempt(.test("a", "b", expecting: .exactly(.none))),
        try await rig.attempt(.test("a", expecting: .exactly(Version(2)))),
        try await rig.attempt(.test("b", expecting: .streamExists)),
      ]
      for attempt in refused { #expect(attempt.isConflict) }
      try await rig.audit([first] + refused)
    }
  }

  @Test(
    "a stream that another process began, or this one before it was started, is no new one",
    arguments: [ExpectedVersion.noStream, .exactly(.none), .exactly(Version(2))])
  func conflictOnUnknownStream(_ expected: ExpectedVersion) async throws {
    try await FaultRig.with { rig in
      let first = try await rig.attempt(.test("a"), on: rig.observer)
      let filler = try await rig.attempt(.test("b"), on: rig.observer)
      let refused = try await rig.attempt(.test("a", expecting: expected))
      #expect(refused.isConflict)
      let next = try await rig.attempt(.test("c"))
      #expect(next.position == Position(3))
      try await rig.audit([first, filler, refused, next])
    }
  }

  enum Defect: CaseIterable {
    case fieldNameWithNUL
    case tooLarge

    var data: Fields {
      switch self {
      case .fieldNameWithNUL: ["a\0b": 1]
      case .tooLarge: ["text": .string(String(repeating: "x", count: 17_000_000))]
      }
    }
  }

  @Test("what no log may take is invalid, and takes nothing else down", arguments: Defect.allCases)
  func invalid(_ defect: Defect) async throws {
    try await FaultRig.with { rig in
      var commits = (0..<4).map { ProposedCommit.test("a\($0)") }
      commits[1].events[0].data = defect.data
      let attempts = try await rig.attempt(all: commits)
      #expect(attempts.map { $0.appended != nil } == [true, false, true, true])
      #expect(attempts[1].isInvalid)
      try await rig.audit(attempts)
    }
  }

  @Test("with nothing listening nothing is done, and it says so")
  func nothingListens() async throws {
    try await FaultRig.with { rig in
      rig.proxy.refuse()
      var attempts = [try await rig.attempt(.test("a"))]
      attempts += try await rig.attempt(
        all: (0..<100).map { .test("b\($0)", expecting: .noStream) })
      for attempt in attempts { #expect(attempt.isNotDone) }
      #expect(try await rig.observer.head() == .start)
      try rig.proxy.admit()
      try await rig.audit(attempts)
      #expect(try await rig.observer.head() == Position(101))
    }
  }

  @Test("a server that goes away leaves no append in doubt that was not sent")
  func goesAway() async throws {
    try await FaultRig.with { rig in
      let before = try await rig.attempt(.test("a"))
      rig.proxy.refuse()
      // The first may have been written to a connection whose end was not yet known.
      let first = try await rig.attempt(.test("a"))
      #expect(first.isNotDone || first.isUnknown)
      let later = try await rig.attempt(all: (0..<50).map { _ in .test("a") })
      for attempt in later { #expect(attempt.isNotDone) }
      try rig.proxy.admit()
      let after = try await rig.attempt(.test("a"))
      #expect(after.position == Position(2))
      try await rig.audit([before, first, after] + later)
    }
  }

  @Test("without a free connection nothing is done, and it says so")
  func poolExhausted() async throws {
    try await FaultRig.with(
      options: FaultRig.brisk + "&maxPoolSize=1&waitQueueTimeoutMS=200"
    ) { rig in
      let attempts = try await rig.attempt(all: (0..<10).map { .test("a\($0)") })
      for attempt in attempts { #expect(attempt.isNotDone) }
      #expect(try await rig.observer.head() == .start)
    }
  }

  @Test("a log that nobody holds any more finishes what it was given, and ends quietly")
  func letGo() async throws {
    try await FaultRig.with { rig in
      var attempts: [Attempt] = []
      for round in 0..<100 {
        let commit = ProposedCommit.test("a\(round)")
        let ticket = try await FaultRig.open(rig.uri).enqueue(commit)
        let outcome = try await ticket.outcome(within: .seconds(30))
        attempts.append(Attempt(commit: commit, outcome: outcome))
        #expect(attempts[round].position == Position(Int64(round) + 1))
      }
      try await rig.audit(attempts)
    }
  }
}
