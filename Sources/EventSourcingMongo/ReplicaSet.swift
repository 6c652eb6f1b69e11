import Mongo

/// What a server needs before it can be used: a replica set with a primary.
public enum ReplicaSet {
  /// Makes a one-member replica set of a mongod that was started with `--replSet` and is not part
  /// of one yet; nothing when it is. Then waits until a primary takes writes.
  /// - Parameters:
  ///   - uri: connects to that one server; its replica set and options are those of `uri`.
  ///   - timeout: how long to wait for the server and for the election.
  public static func initiate(_ uri: MongoURI, timeout: Duration = .seconds(60)) async throws {
    let direct = try MongoDatabase(
      MongoURI(
        "mongodb://\(uri.description)/?directConnection=true&serverSelectionTimeoutMS=1000"),
      connectionsMax: 1)
    let deadline = ContinuousClock.now + timeout
    while true {
      do {
        try await direct.withConnection { try initiateIfNeeded($0, host: uri.description) }
        break
      } catch let error as MongoError where error.isTransient || error.domain == .notSent {
        guard .now < deadline else { throw error }
        try await Task.sleep(for: .milliseconds(100))
      }
    }
    while true {
      let reply = try? await direct.withConnection { connection in
        try connection.serverCommand(
          BSONDocument { $0.append("hello", int32: 1) }, operation: "hello")
      }
      if reply?.withView({ $0["isWritablePrimary"]?.bool }) == true { return }
      guard .now < deadline else {
        throw MongoError(
          domain: .notSent, code: 0, operation: "wait for a primary",
          message: "no primary was elected in time")
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }

  private static func initiateIfNeeded(_ connection: isolated MongoConnection, host: String) throws
  {
    do {
      try connection.serverCommand(
        BSONDocument { $0.append("replSetGetStatus", int32: 1) },
        operation: "read the replica set's status")
    } catch let error as MongoError where error.code == 94 {
      // NotYetInitialized
      let command = BSONDocument { writer in
        writer.appendDocument("replSetInitiate") { writer in
          writer.append("_id", "rs0")
          writer.appendArray("members") { array in
            array.append(
              BSONDocument { writer in
                writer.append("_id", int32: 0)
                writer.append("host", host)
              })
          }
        }
      }
      do {
        try connection.serverCommand(command, operation: "initiate the replica set")
      } catch let error as MongoError where error.code == 23 {
        // AlreadyInitialized: somebody else was first.
      }
    }
  }
}
