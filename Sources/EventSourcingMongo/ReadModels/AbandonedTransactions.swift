import Mongo

/// Transactions whose process was killed or stands still in the middle of them.
///
/// mongod keeps such a transaction, with all that it has locked, for a minute
/// (`transactionLifetimeLimitSeconds`), whether or not its connection is still there. Who takes over
/// ends it: nothing of it remains, and if its process wakes up its commit fails.
enum AbandonedTransactions {
  /// Ours send one statement right after the other.
  private static let silenceMax: Duration = .milliseconds(400)

  /// Ends those of programs that connect as this one does. One of a process that was only slow is
  /// done again by it.
  static func end(_ connection: isolated MongoConnection, of application: String) throws {
    let sessions = try silentSessions(connection, of: application)
    guard !sessions.isEmpty else { return }
    let command = BSONDocument { writer in
      writer.appendArray("killSessions") { array in
        for session in sessions {
          array.append(BSONDocument { $0.append("id", uuid: session.span) })
        }
      }
    }
    try connection.serverCommand(command, operation: "end abandoned transactions")
  }

  private static func silentSessions(
    _ connection: isolated MongoConnection, of application: String
  ) throws -> [[UInt8]] {
    let command = BSONDocument { writer in
      writer.append("aggregate", int32: 1)
      writer.appendArray("pipeline") { stages in
        stages.append(
          BSONDocument { stage in
            stage.appendDocument("$currentOp") { $0.append("idleSessions", true) }
          })
        stages.append(
          BSONDocument { stage in
            stage.appendDocument("$match") { writer in
              writer.append("type", "idleSession")
              writer.append("appName", application)
              writer.appendDocument("transaction.timeInactiveMicros") {
                $0.append("$gte", Int64(silenceMax / .microseconds(1)))
              }
            }
          })
        stages.append(
          BSONDocument { stage in
            stage.appendDocument("$project") { $0.append("lsid", int32: 1) }
          })
      }
      writer.appendDocument("cursor") { _ in }
    }
    return try connection.serverCommand(command, operation: "find abandoned transactions")
      .withView { reply in
        guard let batch = reply["cursor"]?.document?["firstBatch"]?.array else { return [] }
        return try batch.elements().compactMap { element in
          guard case .binary(_, let id)? = element.document?["lsid"]?.document?["id"] else {
            return nil
          }
          return Array(id)
        }
      }
  }
}
