import EventSourcing
import Mongo

/// Pointers, checkpoints and leases.
extension MongoReadModels {
  private static let takesMax = 3

  public func progress(of projection: String) async throws -> ProjectionProgress? {
    try await database.withConnection { connection in
      try connection.find(
        ProgressDocument.named(projection), in: ProgressDocument.collection,
        decode: ProgressDocument.decode)
    }.first
  }

  public func holder(of projection: String) async throws -> LeaseHolder? {
    try await database.withConnection { connection in
      try connection.find(
        ProgressDocument.named(projection), in: ProgressDocument.collection,
        options: ProgressDocument.holderOptions, decode: ProgressDocument.decodeHolder)
    }.first ?? nil
  }

  public func acquire(
    _ projection: String, version: Int, owner: String, for duration: Duration,
    _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress? {
    try await createProgress(of: projection, version: version)
    let seen = try await holder(of: projection)
    var mustBeOver = true
    switch takeover {
    case .whenFree: break
    case .whenFreeOrDead(let isDead):
      if let seen, !seen.isExpired, isDead(seen.owner) { mustBeOver = false }
    case .always: mustBeOver = false
    }
    if mustBeOver, let seen, !seen.isExpired { return nil }
    let lease = Lease(name: projection, owner: owner, token: (seen?.token ?? 0) + 1)
    return try await take(
      lease, ProgressDocument.free(projection, seen: seen, mustBeOver: mustBeOver), for: duration)
  }

  /// A transaction that was left open keeps the progress locked: it is ended rather than waited for.
  private func take(
    _ lease: Lease, _ filter: BSONDocument, for duration: Duration
  ) async throws -> LeasedProgress? {
    let command = ProgressDocument.taking(lease, where: filter, for: duration)
    let application = database.uri.application
    for _ in 1...Self.takesMax {
      do {
        let taken = try await database.withConnection {
          try $0.writeCommand(command, operation: "take the lease of \(lease.name)")
        }
        return try taken.withView { reply in
          try reply["value"]?.document.map {
            LeasedProgress(lease: lease, progress: try ProgressDocument.decode($0))
          }
        }
      } catch let error as MongoError where error.code == 50 {
        // MaxTimeMSExpired
        try await database.withConnection { try AbandonedTransactions.end($0, of: application) }
      }
    }
    return nil
  }

  private func createProgress(of projection: String, version: Int) async throws {
    guard try await progress(of: projection) == nil else { return }
    let first = ProgressDocument.first(projection, version: version)
    let reply = try await database.withConnection {
      try $0.write([.insert(first)], to: ProgressDocument.collection)
    }
    if reply.writeErrors.first?.isDuplicateKey != true {
      try reply.check(operation: "create progress")
    }
  }

  public func renew(_ lease: Lease, for duration: Duration) async throws -> Bool {
    try await update(ProgressDocument.held(lease), ProgressDocument.renewal(for: duration))
  }

  public func release(_ lease: Lease) async throws {
    _ = try await update(ProgressDocument.held(lease), ProgressDocument.renewal(for: .zero))
  }

  public func remove(_ lease: Lease) async throws {
    let reply = try await database.withConnection {
      try $0.write(
        [.delete(filter: ProgressDocument.held(lease))], to: ProgressDocument.collection)
    }
    try reply.check(operation: "remove progress")
  }

  private func update(_ filter: BSONDocument, _ change: BSONDocument) async throws -> Bool {
    let reply = try await database.withConnection {
      try $0.write(
        [.update(filter: filter, with: change, upsert: false)], to: ProgressDocument.collection)
    }
    try reply.check(operation: "update progress")
    return reply.matchedCount > 0
  }

  /// Rows and progress in one transaction. The progress is written first, since that is what fails
  /// for somebody who has lost the lease; meeting another's change of it aborts the transaction.
  public func commit(
    _ rows: [StoredRow], _ progress: ProjectionProgress, holding lease: Lease,
    for duration: Duration
  ) async throws -> Bool {
    let move = MongoConnection.Write.update(
      filter: ProgressDocument.held(lease),
      with: ProgressDocument.replacement(progress, for: duration), upsert: false)
    guard !rows.isEmpty else {
      let reply = try await database.withConnection {
        try $0.write([move], to: ProgressDocument.collection)
      }
      try reply.check(operation: "save progress")
      return reply.matchedCount > 0
    }
    let writes = rows.map { row in
      MongoConnection.Write.replace(
        filter: BSONDocument { $0.append("_id", row.id) }, with: Self.document(of: row),
        upsert: true)
    }
    return try await database.withConnection { connection in
      try connection.transaction {
        let moved = try connection.write([move], to: ProgressDocument.collection)
        try moved.check(operation: "save progress")
        guard moved.matchedCount > 0 else { return false }
        let written = try connection.write(writes, to: progress.collection)
        try written.check(operation: "write rows of \(progress.collection)")
        return true
      }
    }
  }
}
