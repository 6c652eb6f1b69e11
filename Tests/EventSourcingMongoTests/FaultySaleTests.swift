import EventSourcing
import EventSourcingMongo
import Foundation
import Mongo
import MongoTesting
import Testing

/// A sale: so many tickets and not one more. Every buyer's decision is built on those before it.
private enum Sale: Decider {
  struct Sold: EventSourcing.Event {
    var type: String { "TicketSold" }
    var data: Fields { ["tickets": 1] }
    init() {}
    init(type: String, schema: Int, data: Fields) throws {
      guard type == "TicketSold" else { throw UnknownEvent(type: type, schema: schema) }
    }
  }

  enum SoldOut: Error { case soldOut }
  struct Buy: Sendable {}

  static let category = "sales"
  static let tickets = 100
  static var initial: Int { 0 }

  static func decide(_ command: Buy, _ sold: Int) throws(SoldOut) -> [Sold] {
    guard sold < tickets else { throw .soldOut }
    return [Sold()]
  }

  static func evolve(_ sold: inout Int, _ event: Sold) { sold += 1 }
}

extension ServerFaultTests {
  /// What happens while hundreds buy at the same time.
  enum Disturbance: CaseIterable {
    case nothing
    case repliesCut
    case requestsCut
    case repliesLate
    case serverGone
    case connectionsClosed
    case stateChanges
    case writeConcernErrors
    case killed
    case steppedDown

    /// Whether the proxy or a fail point counts whom it met.
    var isCounted: Bool { ![.nothing, .serverGone, .killed, .steppedDown].contains(self) }

    func happen(to rig: FaultRig, _ server: ServerFaults) async throws {
      switch self {
      case .nothing: return
      case .repliesCut:
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .reply, of: "insert", times: 3))
      case .requestsCut:
        rig.proxy.inject(ReplyCuttingProxy.Fault(.cut, .request, of: "insert", times: 3))
      case .repliesLate: rig.proxy.inject(ReplyCuttingProxy.Fault(.hold, .reply, of: "insert"))
      case .serverGone: rig.proxy.refuse()
      case .connectionsClosed:
        try await server.inject(.closedConnection, of: rig.appName, times: 3)
      case .stateChanges: try await server.inject(.error(189), of: rig.appName, times: 3)
      case .writeConcernErrors:
        try await server.inject(.writeConcernError(64), of: rig.appName, times: 3)
      case .killed:
        try await server.hangInserts(after: 7)
        try await server.kill(try await server.hangingInsert())
        try await server.heal()
      case .steppedDown:
        try await server.hangInserts(after: 7)
        try await server.hangingInsert()
        try await server.stepDown()
        try await server.heal()
      }
      try await Task.sleep(for: .milliseconds(500))
      if self == .serverGone { try rig.proxy.admit() }
      rig.proxy.heal()
      try await server.heal()
    }
  }

  /// A buyer's last answer: his ticket's position, or nil when there is none left.
  private struct Answer: Sendable {
    var command: CommandID
    var stream: String
    var position: Position?
    var tries: Int
  }

  /// Buys as a careful client does: sends the same command until the answer is clear.
  private static func buy(
    _ stream: String, command: CommandID = .random(), by handler: CommandHandler<Sale>
  ) async throws -> Answer {
    let context = CommitContext(
      commandID: command, fingerprint: stream, timestamp: .now, serviceName: "test")
    for attempt in 1...200 {
      do {
        let outcome = try await handler.handle(Sale.Buy(), on: stream, context: context)
        return Answer(command: command, stream: stream, position: outcome.position, tries: attempt)
      } catch Sale.SoldOut.soldOut {
        return Answer(command: command, stream: stream, position: nil, tries: attempt)
      } catch is AppendFailure {
        try await Task.sleep(for: .milliseconds(50))
      } catch let error as MongoError where error.isTransient {
        // Before anything was appended: the stream could not be read.
        try await Task.sleep(for: .milliseconds(50))
      }
    }
    throw AppendTicket.NeverSettled()
  }

  @Test(
    "a sale of 100 tickets to 250 buyers among other orders sells 100, whatever fails meanwhile",
    arguments: Disturbance.allCases)
  func sale(_ disturbance: Disturbance) async throws {
    try await FaultRig.withBreakableServer { rig, server in
      let handler = CommandHandler<Sale>(log: rig.log)
      _ = try await rig.attempt(.test("before"))
      let struck = try await server.struck
      let streams = (0..<250).map { _ in "sale" } + (0..<150).map { "other\($0 % 30)" }
      let answers = try await withThrowingTaskGroup(of: Answer?.self) { group in
        group.addTask {
          try await disturbance.happen(to: rig, server)
          return nil
        }
        for stream in streams { group.addTask { try await Self.buy(stream, by: handler) } }
        return try await group.reduce(into: [Answer]()) { answers, answer in
          if let answer { answers.append(answer) }
        }
      }
      if disturbance.isCounted {
        #expect(try await server.struck + Int64(rig.proxy.struck) > struck)
      }
      #expect(answers.count == streams.count)
      #expect(answers.count { $0.stream == "sale" && $0.position != nil } == Sale.tickets)
      #expect(answers.allSatisfy { $0.stream == "sale" || $0.position != nil })

      let stored = try await rig.stored()
      for answer in answers {
        #expect(stored[answer.command]?.header.lastPosition == answer.position)
      }
      #expect(stored.count == 1 + answers.count { $0.position != nil })
      #expect(try await LogVerifier(rig.observer.database).verify().corruption == nil)

      // The same commands once more, by a process that knows nothing: the same answers.
      let fresh = CommandHandler<Sale>(log: rig.observer)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for answer in answers {
          group.addTask {
            let again = try await Self.buy(answer.stream, command: answer.command, by: fresh)
            #expect(again.position == answer.position)
          }
        }
        try await group.waitForAll()
      }
      #expect(try await rig.stored().count == stored.count)
    }
  }
}
