import EventSourcing
import EventSourcingMongo
import Foundation
import MongoTesting
import Testing

@Suite("The queue of appends", .serialized)
struct BackpressureTests {
  /// More than any queue may hold.
  private static let tooMany = 100_000
  private static let patient = FaultRig.brisk + "&socketTimeoutMS=60000"

  private struct Filled {
    var taken: [(commit: ProposedCommit, ticket: AppendTicket)] = []
    var refused: [Attempt] = []
  }

  /// Appends until a hundred were refused at once.
  private func fill(_ log: MongoLog) -> Filled {
    var filled = Filled()
    for index in 0..<Self.tooMany where filled.refused.count < 100 {
      let commit = ProposedCommit.test("a\(index % 100)")
      let ticket = log.enqueue(commit)
      if let outcome = ticket.settled {
        filled.refused.append(Attempt(commit: commit, outcome: outcome))
      } else {
        filled.taken.append((commit, ticket))
      }
    }
    return filled
  }

  @Test("a full queue refuses at once, holds what it took, and writes it when the server is back")
  func fullQueue() async throws {
    try await FaultRig.with(options: Self.patient) { rig in
      let before = try await rig.attempt(.test("a"))
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .request, of: "insert"))
      let filled = fill(rig.log)
      #expect(filled.refused.count == 100)
      #expect(filled.refused.allSatisfy { $0.isOverloaded })
      #expect(filled.taken.count >= 1000)
      #expect(rig.log.outstanding <= filled.taken.count)
      rig.proxy.heal()

      var attempts = [before] + filled.refused
      for (commit, ticket) in filled.taken {
        let outcome = try await ticket.outcome(within: .seconds(60))
        attempts.append(Attempt(commit: commit, outcome: outcome))
      }
      let taken = attempts.suffix(filled.taken.count)
      #expect(taken.allSatisfy { $0.appended?.isRepeated == false })
      // In the order of the queue.
      #expect(
        zip(taken, taken.dropFirst()).allSatisfy {
          ($0.position ?? .start) < ($1.position ?? .start)
        })
      let after = try await rig.attempt(.test("a"))
      #expect(after.appended != nil)
      #expect(rig.log.outstanding == 0)
      attempts.append(after)
      let stored = try await rig.stored()
      #expect(attempts.allSatisfy { $0.isTrue(given: stored[$0.id]) })
      #expect(stored.count == filled.taken.count + 2)
      #expect(try await LogVerifier(rig.observer.database).verify().corruption == nil)
    }
  }

  @Test("a full queue before a dead server is answered, and takes appends again at once")
  func deadServer() async throws {
    try await FaultRig.with(options: FaultRig.impatient) { rig in
      let before = try await rig.attempt(.test("a"))
      rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .reply))
      let filled = fill(rig.log)
      #expect(filled.refused.count == 100)
      var attempts = [before] + filled.refused
      // All of them in the time that one may take, not a batch after the other.
      let deadline = ContinuousClock.now + .seconds(20)
      for (commit, ticket) in filled.taken {
        let outcome = try await ticket.outcome(within: deadline - .now)
        attempts.append(Attempt(commit: commit, outcome: outcome))
      }
      #expect(attempts.dropFirst(101).allSatisfy { $0.isNotDone || $0.isUnknown })
      rig.proxy.heal()
      let after = try await rig.attempt(.test("a"))
      #expect(after.appended != nil)
      let stored = try await rig.stored()
      #expect(attempts.allSatisfy { $0.isTrue(given: stored[$0.id]) })
      #expect(try await LogVerifier(rig.observer.database).verify().corruption == nil)
    }
  }
}
