import EventSourcing
import EventSourcingMongo
import EventSourcingTesting
import Foundation
import Logging
import Mongo
import MongoTesting
import Testing

@Suite("The log on MongoDB")
struct MongoLogTests {
  private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  private func makeLog() async throws -> MongoLog {
    try await MongoLog.open(try await TestMongod.shared.database(), logger: logger)
  }

  private func commit(_ ids: [String], command: CommandID = .random()) -> ProposedCommit {
    ProposedCommit(
      context: CommitContext(commandID: command, timestamp: .now, serviceName: "test"),
      events: ids.map {
        ProposedEvent(
          stream: StreamName(category: "things", id: $0), type: "ThingHappened", data: ["n": 1])
      })
  }

  @Test("keeps every promise of the log", arguments: LogConformance.checks)
  func conforms(_ check: LogConformance.Check) async throws {
    try await check.run(try await makeLog())
  }

  @Test("large commits are read as they were written, whether they are still in memory or not")
  func largeCommits() async throws {
    let log = try await makeLog()
    var written: [RecordedCommit] = []
    for index in 0..<14 {
      // Who reads has what follows kept in memory.
      _ = try await log.read(after: .start, limit: 1)
      var large = commit(["a\(index)", "b"])
      large.events[0].data = ["text": .string(String(repeating: "x", count: 3 << 20))]
      written.append(try await log.append(large).commit)
    }
    for first in [0, 7, 13] {
      let read = try await log.read(after: Position(Int64(first) * 2), limit: 1000)
      #expect(read.map(\.header.firstPosition) == written[first...].map(\.header.firstPosition))
      #expect(read.flatMap(\.events).map(\.data) == written[first...].flatMap(\.events).map(\.data))
    }
  }

  @Test("who has appended finds it at once, wherever it reads from")
  func ownAppends() async throws {
    let log = try await makeLog()
    _ = try await log.read(after: .start, limit: 1)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for lane in 0..<32 {
        group.addTask {
          for _ in 0..<40 {
            let position = try await log.append(self.commit(["lane\(lane)"])).position
            let from = Position(max(0, position.rawValue - 1 - Int64(lane)))
            let read = try await log.read(after: from, limit: 10_000)
            #expect(read.contains { $0.header.lastPosition == position })
          }
        }
      }
      try await group.waitForAll()
    }
  }

  @Test(
    "in a crowd of background work nothing is lost, done twice or left out, and what is refused harms nobody",
    .timeLimit(.minutes(2)))
  func crowd() async throws {
    let uri = try await TestMongod.shared.uri()
    let one = try await MongoLog.open(MongoDatabase(uri), logger: logger)
    let two = try await MongoLog.open(MongoDatabase(uri), logger: logger)
    let appended = try await withThrowingTaskGroup(of: [Position].self) { group in
      for lane in 0..<120 {
        group.addTask {
          try await WorkPriority.$isBackground.withValue(!lane.isMultiple(of: 12)) {
            var positions: [Position] = []
            for _ in 0..<25 {
              let next = self.commit(["lane\(lane)", "shared\(lane % 7)"])
              async let again = lane.isMultiple(of: 10) ? one.append(next).position : nil
              positions.append(try await one.append(next).position)
              if let again = try await again { #expect(again == positions.last) }
            }
            return positions
          }
        }
      }
      group.addTask {
        var positions: [Position] = []
        for _ in 0..<60 { positions.append(try await two.append(self.commit(["other"])).position) }
        return positions
      }
      group.addTask {
        var unreadable = self.commit(["refused"])
        unreadable.events[0].data = ["a\0b": 1]
        for _ in 0..<100 {
          await #expect(throws: AppendFailure.self) { try await one.append(unreadable) }
          try await Task.sleep(for: .milliseconds(3))
        }
        return []
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(Set(appended).count == 120 * 25 + 60)
    var end = Position.start
    while let page = try await two.read(after: end, limit: 1000).nonEmpty {
      for commit in page {
        #expect(commit.header.firstPosition == end + 1)
        end = commit.header.lastPosition
      }
    }
    #expect(end == Position(120 * 25 * 2 + 60))
  }

  @Test("several processes race for one log without a hole")
  func racingWriters() async throws {
    let uri = try await TestMongod.shared.uri()
    var logs: [MongoLog] = []
    for _ in 0..<3 {
      logs.append(
        try await MongoLog.open(MongoDatabase(uri, waitMax: .seconds(20)), logger: logger))
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (writer, log) in logs.enumerated() {
        for task in 0..<10 {
          group.addTask {
            for _ in 0..<20 {
              try await log.append(self.commit(["own\(writer)_\(task)", "shared"]))
            }
          }
        }
      }
      try await group.waitForAll()
    }
    let report = try await LogVerifier(logs[0].database).verify()
    #expect(report.corruption == nil)
    #expect(report.events == 1200)
    #expect(
      try await logs[0].version(of: StreamName(category: "things", id: "shared")).rawValue == 600)
  }

  @Test("a version that another process has moved on is a conflict")
  func exactAcrossProcesses() async throws {
    let uri = try await TestMongod.shared.uri()
    let one = try await MongoLog.open(MongoDatabase(uri, waitMax: .seconds(20)), logger: logger)
    let two = try await MongoLog.open(MongoDatabase(uri, waitMax: .seconds(20)), logger: logger)
    let price = StreamName(category: "things", id: "price")
    try await one.append(commit(["price"]))
    try await two.append(commit(["price"]))
    var stale = commit(["order"])
    stale.expectations = [price: .exactly(Version(1))]
    await #expect(throws: AppendConflict.self) { try await one.append(stale) }
  }

  @Test(
    "while somebody watches the log, who stands at its end is told so, and of all that comes",
    .timeLimit(.minutes(1)))
  func watched() async throws {
    let uri = try await TestMongod.shared.uri()
    let one = try await MongoLog.open(MongoDatabase(uri, waitMax: .seconds(20)), logger: logger)
    let two = try await MongoLog.open(MongoDatabase(uri, waitMax: .seconds(20)), logger: logger)
    var end = try await two.append(commit(["a"])).position
    #expect(await one.waitForEvents(after: end, timeout: .milliseconds(10)))
    let watcher = Task { [logger] in try await ChangeStreamDoorbell(one, logger: logger).run() }
    defer { watcher.cancel() }
    // The log comes to rest after half a second: appends before, at and after that.
    for pause in [0, 200, 450, 490, 495, 500, 505, 510, 550, 700, 1200] {
      let seen = end
      while await one.waitForEvents(after: seen, timeout: .milliseconds(1)) {}
      // Sooner than by the look that mends what was missed.
      async let told = one.waitForEvents(after: seen, timeout: .seconds(5))
      try await Task.sleep(for: .milliseconds(pause))
      end = try await two.append(commit(["a"])).position
      #expect(await told)
      #expect(try await one.read(after: Position(end.rawValue - 1), limit: 10).count == 1)
    }
    watcher.cancel()
    _ = await watcher.result
    #expect(await one.waitForEvents(after: end, timeout: .milliseconds(10)))
  }

  @Test("an append whose answer was lost is settled: done once, acknowledged")
  func lostAnswer() async throws {
    let log = try await makeLog()
    try await log.append(commit(["a"]))
    for mode in ["closeConnection", "91", "189"] {
      try await failInserts(log.database, mode: mode, times: 2)
      let command = CommandID.random()
      let appended = try await log.append(commit(["b"], command: command))
      #expect(try await log.commit(of: command)?.header.lastPosition == appended.position)
    }
    let report = try await LogVerifier(log.database).verify()
    #expect(report.corruption == nil)
    #expect(report.events == 4)
  }

  @Test("a write concern error is settled by looking, not by guessing")
  func writeConcernError() async throws {
    let log = try await makeLog()
    let fail = BSONDocument { writer in
      writer.append("configureFailPoint", "failCommand")
      writer.appendDocument("mode") { $0.append("times", int32: 1) }
      writer.appendDocument("data") { writer in
        writer.appendArray("failCommands") { $0.append("insert") }
        writer.append("appName", appName(log.database))
        writer.appendDocument("writeConcernError") { writer in
          writer.append("code", int32: 64)
          writer.append("errmsg", "waiting for replication timed out")
        }
      }
    }
    try await log.database.withConnection {
      _ = try $0.serverCommand(fail, operation: "set a fail point")
    }
    let appended = try await log.append(commit(["a"]))
    #expect(appended.position == Position(1))
    #expect(try await log.head() == Position(1))
  }

  private func appName(_ database: MongoDatabase) -> String { "test-\(database.uri.database)" }

  private func failInserts(_ database: MongoDatabase, mode: String, times: Int32) async throws {
    let fail = BSONDocument { writer in
      writer.append("configureFailPoint", "failCommand")
      writer.appendDocument("mode") { $0.append("times", int32: times) }
      writer.appendDocument("data") { writer in
        writer.appendArray("failCommands") { $0.append("insert") }
        writer.append("appName", appName(database))
        if let code = Int32(mode) {
          writer.append("errorCode", int32: code)
        } else {
          writer.append("closeConnection", true)
        }
      }
    }
    try await database.withConnection {
      _ = try $0.serverCommand(fail, operation: "set a fail point")
    }
  }

  @Test("the verifier finds an edited, a missing and a moved commit")
  func tamperEvidence() async throws {
    func damaged(_ writes: [MongoConnection.Write]) async throws -> LogCorruption? {
      let log = try await makeLog()
      for index in 0..<10 { try await log.append(commit(["s\(index)"])) }
      #expect(try await LogVerifier(log.database).verify().corruption == nil)
      for write in writes {
        let reply = try await log.database.withConnection { try $0.write([write], to: "log") }
        try reply.check(operation: "damage")
      }
      return try await LogVerifier(log.database).verify().corruption
    }
    func id(_ position: Int64) -> BSONDocument { BSONDocument { $0.append("_id", position) } }
    let edit = BSONDocument { writer in
      writer.appendDocument("$set") { $0.append("events.0.data.n", Int64(2)) }
    }
    #expect(
      try await damaged([.update(filter: id(4), with: edit, upsert: false)])?.position
        == Position(4))
    #expect(try await damaged([.delete(filter: id(7))])?.position == Position(7))
    #expect(try await damaged([.delete(filter: id(1))])?.position == Position(1))
  }

  @Test("a hole stops a reader")
  func holeStopsReader() async throws {
    let log = try await makeLog()
    for index in 0..<5 { try await log.append(commit(["s\(index)"])) }
    let reply = try await log.database.withConnection {
      try $0.write([.delete(filter: BSONDocument { $0.append("_id", Int64(3)) })], to: "log")
    }
    #expect(reply.deletedCount == 1)
    // Another process: the one that wrote the commits still has them in memory.
    let reader = try await MongoLog.open(log.database, logger: logger)
    await #expect(throws: LogCorruption.self) { try await reader.read(after: .start, limit: 10) }
    await #expect(throws: LogCorruption.self) {
      try await reader.read(after: Position(2), limit: 10)
    }
  }
}

extension Array {
  fileprivate var nonEmpty: Self? { isEmpty ? nil : self }
}
