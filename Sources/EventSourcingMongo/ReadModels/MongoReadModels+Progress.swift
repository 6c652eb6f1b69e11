import EventSourcing
import Mongo

/// Pointers, checkpoints and leases.
extension MongoReadModels {
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
    if case .whenFreeOrDead(let isDead) = takeover, let seen, !seen.isExpired {
      mustBeOver = !isDead(seen.owner)
    }
    if mustBeOver, let seen, !seen.isExpired { return nil }
    // A first token is the time, so that it is later than those of a document that was removed.
    let token = (seen?.token ?? Timestamp.now.millisecondsSinceEpoch) + 1
    let lease = Lease(name: projection, owner: owner, token: token)
    guard
      try await update(
        ProgressDocument.free(projection, for: owner, seen: seen, mustBeOver: mustBeOver),
        ProgressDocument.acquisition(lease, for: duration)),
      let progress = try await progress(of: projection)
    else { return nil }
    return LeasedProgress(lease: lease, progress: progress)
  }

  public func request(_ projection: String, by owner: String) async throws {
    _ = try await update(
      ProgressDocument.named(projection), ProgressDocument.request(by: owner))
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
    let renewal = ProgressDocument.renewal(for: duration)
    return try await combiner.save(SaveCombiner.Save(lease: lease, change: renewal)) != .lost
  }

  public func release(_ lease: Lease) async throws {
    _ = try await update(ProgressDocument.held(lease), ProgressDocument.release)
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

  /// What several save or renew at about the same time goes as one command.
  public func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState {
    let change = ProgressDocument.replacement(progress, for: duration)
    return try await combiner.save(SaveCombiner.Save(lease: lease, change: change))
  }
}
