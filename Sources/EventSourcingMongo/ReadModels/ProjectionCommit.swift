import EventSourcing
import Mongo

/// Rows of one projection and its progress, to be written under its lease.
struct ProjectionCommit: Sendable {
  private static let attemptsMax = 3

  let rows: [StoredRow]
  let progress: ProjectionProgress
  let lease: Lease
  let duration: Duration

  private var move: MongoConnection.Write {
    .update(
      filter: ProgressDocument.held(lease),
      with: ProgressDocument.replacement(progress, for: duration), upsert: false)
  }

  private var writes: [MongoConnection.Write] {
    rows.map { row in
      .replace(
        filter: BSONDocument { $0.append("_id", row.id) }, with: MongoReadModels.document(of: row),
        upsert: true)
    }
  }

  /// False, and nothing was written, when somebody else has taken the lease.
  func carryOut(_ database: MongoDatabase) async throws -> Bool {
    var attempt = 1
    while true {
      do {
        return try await Self.carryOut([self], database)
      } catch let error as MongoError
        where error.labels.contains("TransientTransactionError") && attempt < Self.attemptsMax
      {
        // Met another's write of the same document, as of one who takes the lease: nothing is left.
        attempt += 1
      }
    }
  }

  /// Several commits in one transaction: all of them or none. The progress is written first, since
  /// that is what fails for somebody who has lost a lease.
  static func carryOut(
    _ commits: [ProjectionCommit], _ database: MongoDatabase
  ) async throws -> Bool {
    let moves = commits.map(\.move)
    let batches = commits.filter { !$0.rows.isEmpty }
      .map { (collection: $0.progress.collection, writes: $0.writes) }
    return try await database.withConnection { connection in
      if moves.count == 1, batches.isEmpty { return try move(moves, connection) }
      return try connection.transaction {
        guard try move(moves, connection) else { return false }
        for (collection, writes) in batches {
          try connection.write(writes, to: collection)
            .check(operation: "write rows of \(collection)")
        }
        return true
      }
    }
  }

  private static func move(
    _ moves: [MongoConnection.Write], _ connection: isolated MongoConnection
  ) throws -> Bool {
    let reply = try connection.write(moves, to: ProgressDocument.collection)
    try reply.check(operation: "save progress")
    return reply.matchedCount == moves.count
  }
}
