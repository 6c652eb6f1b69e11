import Mongo

/// mongod's own fault injection (`failCommand` and its like, for a server with `enableTestCommands`).
/// A fail point is the whole server's: inject on ``TestMongod/breakable`` and from serial tests.
public struct ServerFaults: Sendable {
  public enum CommandFault: Sendable, Hashable {
    /// Refused with this code; not done.
    case error(Int32)
    /// The connection is closed; not done.
    case closedConnection
    /// Done, and the reply says with this code that it is not as durable as asked.
    case writeConcernError(Int32)
    /// Done after this time.
    case late(milliseconds: Int32)
  }

  public struct InsertDoesNotHang: Error {}

  private let administration: MongoDatabase

  init(_ uri: MongoURI) throws {
    administration = try MongoDatabase(uri, connectionsMax: 2, waitMax: .seconds(20))
  }

  /// Which of the commands fail.
  public enum Which: Sendable {
    case next(Int32)
    /// All but the first ones, until ``heal()``.
    case allAfter(Int32)
  }

  /// Lets the next `times` such commands of clients of that name fail.
  public func inject(
    _ fault: CommandFault, on commands: [String] = ["insert"], of appName: String, times: Int32
  ) async throws {
    try await inject(fault, on: commands, of: appName, which: .next(times))
  }

  /// Lets such commands of clients of that name fail.
  public func inject(
    _ fault: CommandFault, on commands: [String], of appName: String, which: Which
  ) async throws {
    try await run(
      BSONDocument { writer in
        writer.append("configureFailPoint", "failCommand")
        writer.appendDocument("mode") { writer in
          switch which {
          case .next(let times): writer.append("times", int32: times)
          case .allAfter(let count): writer.append("skip", int32: count)
          }
        }
        writer.appendDocument("data") { writer in
          writer.appendArray("failCommands") { array in
            for command in commands { array.append(command) }
          }
          writer.append("appName", appName)
          switch fault {
          case .error(let code): writer.append("errorCode", int32: code)
          case .closedConnection: writer.append("closeConnection", true)
          case .writeConcernError(let code):
            writer.appendDocument("writeConcernError") { writer in
              writer.append("code", int32: code)
              writer.append("errmsg", "injected")
            }
          case .late(let milliseconds):
            writer.append("blockConnection", true)
            writer.append("blockTimeMS", int32: milliseconds)
          }
        }
      })
  }

  /// Lets inserts put in `documents` documents, one at a time, and then hang.
  public func hangInserts(after documents: Int32) async throws {
    try await setInsertBatch(1)
    try await run(
      BSONDocument { writer in
        writer.append("configureFailPoint", "hangDuringBatchInsert")
        writer.appendDocument("mode") { $0.append("skip", int32: documents) }
        writer.appendDocument("data") { $0.append("shouldCheckForInterrupt", true) }
      })
  }

  /// Waits until an insert hangs; answers the operation's number.
  @discardableResult
  public func hangingInsert() async throws -> Int64 {
    for _ in 0..<1000 {
      let reply = try await run(
        BSONDocument { writer in
          writer.append("currentOp", int32: 1)
          writer.append("command.insert", "log")
          writer.append("failpointMsg", "hangDuringBatchInsert")
        })
      let operation = reply.withView { reply -> Int64? in
        let found = (try? reply["inprog"]?.array?.elements())?.first?.document
        return found?["opid"]?.integer
      }
      if let operation { return operation }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw InsertDoesNotHang()
  }

  /// Kills an operation; its client gets the error `Interrupted` (11601).
  public func kill(_ operation: Int64) async throws {
    try await run(
      BSONDocument { writer in
        writer.append("killOp", int32: 1)
        writer.append("op", operation)
      })
  }

  /// Keeps the majority from moving on: writes are done, and not (known to be) durable.
  public func stallMajority() async throws {
    try await run(
      BSONDocument { writer in
        writer.append("configureFailPoint", "disableSnapshotting")
        writer.append("mode", "alwaysOn")
      })
  }

  /// The primary steps down, though nobody can follow it, and stands again a second later.
  public func stepDown() async throws {
    try await run(
      BSONDocument { writer in
        writer.append("replSetStepDown", int32: 1)
        writer.append("secondaryCatchUpPeriodSecs", int32: 0)
        writer.append("force", true)
      })
  }

  /// Ends every fault.
  public func heal() async throws {
    for name in ["failCommand", "hangDuringBatchInsert", "disableSnapshotting"] {
      try await run(
        BSONDocument { writer in
          writer.append("configureFailPoint", name)
          writer.append("mode", "off")
        })
    }
    try await setInsertBatch(500)
  }

  /// Commands that `inject` has met since the server was started.
  public var struck: Int64 {
    get async throws {
      let reply = try await run(
        BSONDocument { writer in
          writer.append("getParameter", int32: 1)
          writer.append("failpoint.failCommand", int32: 1)
        })
      return reply.withView { reply in
        reply["failpoint.failCommand"]?.document?["timesEntered"]?.integer ?? 0
      }
    }
  }

  private func setInsertBatch(_ documents: Int32) async throws {
    try await run(
      BSONDocument { writer in
        writer.append("setParameter", int32: 1)
        writer.append("internalInsertMaxBatchSize", int32: documents)
      })
  }

  @discardableResult
  private func run(_ command: BSONDocument) async throws -> BSONDocument {
    try await administration.withConnection {
      try $0.serverCommand(command, operation: "inject a fault")
    }
  }
}
