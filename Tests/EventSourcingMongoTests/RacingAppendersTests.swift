import EventSourcing
import EventSourcingMongo
import Foundation
import Mongo
import MongoTesting
import Testing

@Suite("Appenders of several processes on one log", .serialized)
struct RacingAppendersTests {
  private static let processes = 3

  /// Appends from as many logs as there are processes, of which all but the observer's can fail.
  private func race(
    _ rig: FaultRig, _ commits: [[ProposedCommit]]
  ) async throws -> [[Attempt]] {
    var logs = [rig.log, rig.observer]
    while logs.count < Self.processes { logs.append(try await FaultRig.open(rig.uri)) }
    return try await withThrowingTaskGroup(of: (Int, [Attempt]).self) { group in
      for (index, (log, commits)) in zip(logs, commits).enumerated() {
        // Several callers a process, each with one append at a time.
        for caller in 0..<10 {
          group.addTask {
            var attempts: [Attempt] = []
            for place in stride(from: caller, to: commits.count, by: 10) {
              attempts.append(try await rig.attempt(commits[place], on: log))
            }
            return (index, attempts)
          }
        }
      }
      return try await group.reduce(into: Array(repeating: [], count: Self.processes)) {
        $0[$1.0] += $1.1
      }
    }
  }

  @Test("all land, in one order, without a hole")
  func gapless() async throws {
    try await FaultRig.with { rig in
      let commits = (0..<Self.processes).map { process in
        (0..<200).map { ProposedCommit.test("shared", "own\(process)_\($0 % 20)") }
      }
      let attempts = try await race(rig, commits).flatMap { $0 }
      #expect(attempts.allSatisfy { $0.appended?.isRepeated == false })
      #expect(try await rig.observer.head() == Position(1200))
      #expect(
        try await rig.observer.version(of: StreamName(category: "things", id: "shared"))
          == Version(600))
      try await rig.audit(attempts)
    }
  }

  @Test("of those that expect the same version one wins")
  func oneWinner() async throws {
    try await FaultRig.with { rig in
      let rounds: [ExpectedVersion] = [.noStream, .exactly(Version(1)), .exactly(Version(2))]
      var all: [Attempt] = []
      for expected in rounds {
        let commits = (0..<Self.processes).map { _ in
          (0..<100).map { ProposedCommit.test("contested\($0)", expecting: expected) }
        }
        let attempts = try await race(rig, commits).flatMap { $0 }
        let wins = Dictionary(grouping: attempts.filter { $0.appended != nil }) {
          $0.commit.events[0].stream
        }
        #expect(wins.count == 100)
        #expect(wins.values.allSatisfy { $0.count == 1 })
        #expect(attempts.count { $0.isConflict } == 200)
        all += attempts
      }
      try await rig.audit(all)
    }
  }

  @Test("an expected version holds for a stream that is only read")
  func readsAreChecked() async throws {
    try await FaultRig.with { rig in
      let price = StreamName(category: "things", id: "price")
      let first = try await rig.attempt(.test("price"))
      // One process changes the price, the others sell at the price that they have read.
      let orders = (0..<100).map { index in
        var order = ProposedCommit.test("order\(index)")
        order.expectations = [price: .exactly(Version(1))]
        return order
      }
      let change = (0..<20).map { ProposedCommit.test($0 == 10 ? "price" : "filler\($0)") }
      let attempts = try await race(
        rig, [Array(orders[..<50]), change, Array(orders[50...])]
      ).flatMap { $0 }
      let stored = try await rig.stored()
      let changed = attempts.first { $0.commit.events[0].stream == price }?.position
      for order in attempts where order.commit.expectations[price] != nil {
        let position = stored[order.id]?.header.firstPosition
        #expect(position.map { $0 < (changed ?? .start) } ?? order.isConflict)
      }
      try await rig.audit([first] + attempts)
    }
  }

  @Test("a process that was idle while another wrote a lot knows every version")
  func idleProcess() async throws {
    try await FaultRig.with { rig in
      let first = try await rig.attempt(.test("a", "b"))
      let others = try await rig.attempt(
        all: (0..<6000).map { .test("a", "c\($0 % 100)") }, on: rig.observer)
      let stale = try await rig.attempt(.test("a", expecting: .exactly(Version(1))))
      #expect(stale.isConflict)
      let exact = try await rig.attempt(.test("a", expecting: .exactly(Version(6001))))
      let untouched = try await rig.attempt(.test("b", expecting: .exactly(Version(1))))
      #expect([exact, untouched].allSatisfy { $0.appended != nil })
      try await rig.audit([first, stale, exact, untouched], others: others.count)
    }
  }

  @Test("processes that append one after the other never get in line")
  func inTurn() async throws {
    try await FaultRig.with { rig in
      var attempts: [Attempt] = []
      for index in 0..<20 {
        attempts.append(
          try await rig.attempt(.test("a\(index)"), on: index % 2 == 0 ? rig.log : rig.observer))
      }
      #expect(attempts.allSatisfy { $0.appended != nil })
      let lines = try await rig.observer.database.withConnection { connection in
        try connection.find(BSONDocument(), in: "appenders") { $0["_id"]?.string }
      }
      #expect(lines.isEmpty)
      try await rig.audit(attempts)
    }
  }

  @Test(
    "what is built on an append that has to be judged again holds nobody up", arguments: [1, 600])
  func builtOnJudgedAgain(_ dependents: Int) async throws {
    try await FaultRig.with { rig in
      let stream = StreamName(category: "things", id: "a")
      var attempts = [try await rig.attempt(.test("a"))]
      for round in 0..<20 {
        // The caller knows of this one, its process does not.
        attempts.append(try await rig.attempt(.test("a"), on: rig.observer))
        let version = try await rig.observer.version(of: stream)
        var commits = [
          ProposedCommit.test("a", expecting: .exactly(version)), .test("other\(round)"),
        ]
        var tickets = commits.map { rig.log.enqueue($0) }
        for place in 1...dependents {
          var commit = ProposedCommit.test("a", expecting: .exactly(version + place))
          commit.builtOn = [place == 1 ? tickets[0] : tickets[place]]
          commits.append(commit)
          tickets.append(rig.log.enqueue(commit))
        }
        for (commit, ticket) in zip(commits, tickets) {
          let attempt = Attempt(
            commit: commit, outcome: try await ticket.outcome(within: .seconds(4)))
          #expect(attempt.appended != nil || attempt.isConflict)
          if attempt.appended != nil { attempts.append(attempt) }
        }
      }
      try await rig.audit(attempts)
    }
  }

  @Test("a caller may know more of a stream than the process that it asks")
  func callerIsAhead() async throws {
    try await FaultRig.with { rig in
      var attempts = [
        try await rig.attempt(.test("a")),
        try await rig.attempt(.test("b", expecting: .streamExists)),
        try await rig.attempt(.test("a"), on: rig.observer),
        try await rig.attempt(.test("b"), on: rig.observer),
      ]
      #expect(attempts[1].isConflict)
      var reader = ProposedCommit.test("reader")
      reader.expectations[StreamName(category: "things", id: "a")] = .exactly(Version(2))
      let ahead: [ProposedCommit] = [
        reader, .test("a", expecting: .exactly(Version(2))), .test("b", expecting: .streamExists),
      ]
      for commit in ahead { attempts.append(try await rig.attempt(commit)) }
      #expect(attempts.suffix(3).allSatisfy { $0.appended != nil })
      let wrong = try await rig.attempt(.test("a", expecting: .exactly(Version(9))))
      #expect(wrong.isConflict)
      // A failed expectation says nothing about later ones: it is not repeated in the audit.
      attempts.remove(at: 1)
      try await rig.audit(attempts + [wrong])
    }
  }

  @Test("what a process knew before others wrote a lot is no ground for an answer")
  func longTail() async throws {
    try await FaultRig.with { rig in
      let known = try await rig.attempt(all: (0..<30).map { .test("a\($0)") })
      // Every second stream grows, one is begun, and it is more than anybody reads after.
      let others = try await rig.attempt(
        all: (0..<15).map { .test("a\($0 * 2)") } + [.test("begun")]
          + (0..<700).map { .test("filler\($0)") }, on: rig.observer)
      let commits =
        (0..<10).map { ProposedCommit.test("a\($0)") }
        + (10..<20).map { .test("a\($0)", expecting: .exactly(Version(1))) }
        + (20..<30).map { place in
          var reader = ProposedCommit.test("reader\(place)", expecting: .noStream)
          let read = StreamName(category: "things", id: "a\(place)")
          reader.expectations[read] = .exactly(Version(1))
          return reader
        } + [.test("begun", expecting: .noStream), .test("new", expecting: .noStream)]
      let attempts = try await rig.attempt(all: commits.shuffled())
      for attempt in attempts {
        let events = attempt.commit.events
        let expected = attempt.commit.expectations.keys.map(\.id)
        let hasGrown = expected.contains { id in others.contains { $0.commit.writes(to: id) } }
        #expect(attempt.isConflict == hasGrown)
        #expect((attempt.appended == nil) == hasGrown)
        if expected.isEmpty {
          let isSecond = others.contains { $0.commit.writes(to: events[0].stream.id) }
          #expect(attempt.appended?.commit.events[0].version == Version(isSecond ? 3 : 2))
        }
      }
      try await rig.audit(known + others + attempts)
    }
  }

  @Test("a command that several processes do has one effect, and one answer")
  func oneEffect() async throws {
    try await FaultRig.with { rig in
      let commands = (0..<150).map { ProposedCommit.test("shared", "own\($0)") }
      let attempts = try await race(
        rig, (0..<Self.processes).map { _ in commands.shuffled() }
      ).flatMap { $0 }
      for same in Dictionary(grouping: attempts, by: \.id).values {
        #expect(Set(same.map(\.position)).count == 1)
        #expect(same.count { $0.appended?.isRepeated == false } == 1)
      }
      #expect(try await rig.observer.head() == Position(300))
      try await rig.audit(attempts)
    }
  }

  @Test("several processes whose messages are lost lose and double nothing")
  func lostMessages() async throws {
    try await FaultRig.with(options: FaultRig.brisk + "&retryWrites=false") { rig in
      let shared = (0..<50).map { ProposedCommit.test("shared", "both\($0)") }
      let commits = (0..<Self.processes).map { process in
        shared + (0..<150).map { ProposedCommit.test("shared", "own\(process)_\($0)") }
      }
      async let attempts = race(rig, commits)
      for _ in 0..<3 {
        try await Task.sleep(for: .milliseconds(150))
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .reply, of: "insert", times: 1))
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .request, of: "insert", times: 1))
      }
      let all = try await attempts.flatMap { $0 }
      #expect(rig.proxy.struck > 0)
      #expect(all.allSatisfy { $0.isDoneOrNotDone })
      try await rig.audit(all)
    }
  }
}

extension ProposedCommit {
  fileprivate func writes(to id: String) -> Bool { events.contains { $0.stream.id == id } }
}
