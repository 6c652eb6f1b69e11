import EventSourcing
import Mongo

/// The ledger in MongoDB: one document a payment in the collection `payments` of its own database.
///
/// The unique indexes on the keys decide who is first; the revision in a replacement's filter
/// decides who changes. Writes are acknowledged by a majority and journalled (the settings that
/// ``MongoURI`` adds). Whoever loses reads the winner with read concern `linearizable`, which waits
/// until the winner is durable: a duplicate key alone does not prove that.
public struct MongoLedger: PaymentLedger {
  private static let collection = "payments"
  /// Linearizable reads wait for a majority: bounded, as MongoDB's documentation asks. Longer than
  /// the write that they follow may wait (`wtimeoutMS`), for a disk may be as slow twice, and within
  /// `socketTimeoutMS`.
  private static let linearizableMillisecondsMax: Int64 = 7_000

  private let database: MongoDatabase
  /// Payments that come at about the same time are looked up, and written, together. Nil: written.
  private let insertions: Gathering<PaymentRecord, WriteReply.WriteError?>
  private let lookups: Gathering<String, PaymentRecord?>

  public init(database: MongoDatabase) {
    self.database = database
    insertions = Gathering { try await Self.insert($0, database) }
    lookups = Gathering { try await Self.payments(keys: $0, database) }
  }

  public func prepare() async throws {
    try await perform { connection in
      let command = BSONDocument(capacity: 512) { writer in
        writer.append("createIndexes", Self.collection)
        writer.appendArray("indexes") { indexes in
          indexes.append(Self.index(on: "key", isUnique: true))
          indexes.append(Self.index(on: "refund_key", isUnique: true))
          indexes.append(Self.index(on: "order_id", isUnique: false))
        }
      }
      try connection.writeCommand(command, operation: "index the payments")
    }
  }

  /// Sparse, so that payments without the field do not collide; by id within, to page.
  private static func index(on field: String, isUnique: Bool) -> BSONDocument {
    BSONDocument { writer in
      writer.append("name", field)
      writer.appendDocument("key") { key in
        key.append(field, int32: 1)
        if !isUnique { key.append("_id", int32: -1) }
      }
      writer.append("unique", isUnique)
      writer.append("sparse", true)
    }
  }

  public func ping() async throws {
    try await perform { connection in
      _ = try connection.serverCommand(
        BSONDocument { $0.append("ping", int32: 1) }, operation: "ping")
    }
  }

  public func insert(_ payment: PaymentRecord) async throws -> LedgerInsertion {
    guard let taken = try await insertions(payment) else { return .inserted }
    guard taken.isDuplicateKey else { throw LedgerUnavailable(reason: taken.description) }
    return try await perform { connection in
      for field in ["key", "refund_key"] where taken.keyPattern == [field] {
        let wanted = field == "key" ? payment.key : payment.refundKey
        guard let wanted, let holder = try Self.durable(field, wanted, connection) else { break }
        // A retry inside the driver may meet the document of its first attempt.
        if holder.id == payment.id { return .inserted }
        return field == "key" ? .keyTaken(holder) : .refundKeyTaken(holder)
      }
      throw LedgerUnavailable(reason: "a key was taken, and nobody has it")
    }
  }

  /// Each by itself is written or not: the order does not matter, and one that is taken stops none.
  private static func insert(
    _ payments: [PaymentRecord], _ database: MongoDatabase
  ) async throws -> [WriteReply.WriteError?] {
    let documents = payments.map(PaymentDocument.encode)
    let reply = try await perform(database) {
      let reply = try $0.insertUnordered(documents, into: collection)
      if let failure = reply.failure ?? reply.writeConcernError { throw failure }
      return reply
    }
    guard reply.insertedCount + reply.writeErrors.count == payments.count else {
      throw LedgerUnavailable(reason: "not all payments were written")
    }
    var errors = [WriteReply.WriteError?](repeating: nil, count: payments.count)
    for error in reply.writeErrors { errors[error.index] = error }
    return errors
  }

  public func replace(_ payment: PaymentRecord) async throws -> LedgerReplacement {
    try await perform { connection in
      var changed = payment
      changed.revision += 1
      let filter = BSONDocument { writer in
        writer.append("_id", payment.id)
        writer.append("revision", payment.revision)
      }
      let reply = try connection.write(
        [.replace(filter: filter, with: PaymentDocument.encode(changed), upsert: false)],
        to: Self.collection)
      if let taken = reply.writeErrors.first, taken.isDuplicateKey { return .refundKeyTaken }
      try reply.check(operation: "change a payment")
      if reply.matchedCount == 1 { return .replaced }
      _ = try Self.durable("_id", payment.id, connection)
      return .outdated
    }
  }

  public func payment(id: String) async throws -> PaymentRecord? {
    try await first(where: "_id", is: id)
  }

  public func payment(key: String) async throws -> PaymentRecord? { try await lookups(key) }

  private static func payments(
    keys: [String], _ database: MongoDatabase
  ) async throws -> [PaymentRecord?] {
    let filter = BSONDocument { writer in
      writer.appendDocument("key") { writer in
        writer.appendArray("$in") { array in for key in keys { array.append(key) } }
      }
    }
    let found = try await perform(database) {
      try $0.find(filter, in: collection, decode: PaymentDocument.decode)
    }
    let byKey = Dictionary(found.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    return keys.map { byKey[$0] }
  }

  public func payment(refundKey: String) async throws -> PaymentRecord? {
    try await first(where: "refund_key", is: refundKey)
  }

  private func first(where field: String, is value: String) async throws -> PaymentRecord? {
    try await perform { connection in
      try connection.find(
        BSONDocument { $0.append(field, value) }, in: Self.collection,
        options: BSONDocument { $0.append("limit", 1 as Int64) }, decode: PaymentDocument.decode
      ).first
    }
  }

  private static func durable(
    _ field: String, _ value: String, _ connection: isolated MongoConnection
  ) throws -> PaymentRecord? {
    let options = BSONDocument { writer in
      writer.append("limit", 1 as Int64)
      writer.append("maxTimeMS", linearizableMillisecondsMax)
      writer.appendDocument("readConcern") { $0.append("level", "linearizable") }
    }
    return try connection.find(
      BSONDocument { $0.append(field, value) }, in: collection, options: options,
      decode: PaymentDocument.decode
    ).first
  }

  public func payments(_ query: PaymentQuery) async throws -> [PaymentRecord] {
    let filter = BSONDocument { writer in
      if let order = query.order {
        writer.appendDocument("order_id") { writer in
          writer.appendArray("$in") { orders in
            for reference in Reference.all(writtenAs: order) {
              orders.append { $0.append($1, reference) }
            }
          }
        }
      }
      if let before = query.before {
        writer.appendDocument("_id") { $0.append("$lt", before) }
      }
    }
    let options = BSONDocument { writer in
      writer.appendDocument("sort") { $0.append("_id", int32: -1) }
      writer.append("limit", Int64(query.limit))
    }
    return try await perform { connection in
      try connection.find(
        filter, in: Self.collection, options: options, decode: PaymentDocument.decode)
    }
  }

  public func summary() async throws -> LedgerSummary {
    let groups = try await perform { connection in
      try connection.aggregate(
        Self.summaryPipeline, in: Self.collection, decode: SummaryGroup.init)
    }
    return groups.reduce(into: LedgerSummary()) { $1.add(to: &$0) }
  }

  private static let summaryPipeline = BSONDocument { writer in
    writer.appendArray("pipeline") { stages in
      stages.append(
        BSONDocument { stage in
          stage.appendDocument("$group") { group in
            group.appendDocument("_id") { id in
              id.append("status", "$status")
              id.append("currency", "$currency")
            }
            group.appendDocument("count") { $0.append("$sum", 1 as Int64) }
            group.appendDocument("amount") { $0.append("$sum", "$amount") }
          }
        })
    }
  }

  /// Runs on a connection's thread; what MongoDB says becomes what a ledger says.
  private func perform<Result: Sendable>(
    _ body: @Sendable (isolated MongoConnection) throws -> Result
  ) async throws -> Result {
    try await Self.perform(database, body)
  }

  private static func perform<Result: Sendable>(
    _ database: MongoDatabase, _ body: @Sendable (isolated MongoConnection) throws -> Result
  ) async throws -> Result {
    do {
      return try await database.withConnection(body)
    } catch let error as MongoError {
      throw LedgerUnavailable(reason: error.description)
    }
  }
}

/// The payments of one status and currency, counted and added up by MongoDB.
private struct SummaryGroup: Sendable {
  let status: PaymentRecord.Status
  let currency: Amount.Currency?
  let count: Int64
  let minorUnits: Int64

  init(_ view: BSONView) throws {
    let id = view["_id"]?.document
    guard let status = id?["status"]?.string.flatMap(PaymentRecord.Status.init(rawValue:)),
      let count = view["count"]?.integer, let minorUnits = view["amount"]?.integer
    else { throw PaymentDocument.Unreadable(field: "status or amount") }
    self.status = status
    self.currency = id?["currency"]?.string.flatMap(Amount.Currency.init(rawValue:))
    self.count = count
    self.minorUnits = minorUnits
  }

  func add(to summary: inout LedgerSummary) {
    summary.counts[status, default: 0] += count
    guard let currency, status == .captured || status == .refunded else { return }
    var totals = summary.totals[currency] ?? LedgerSummary.Totals()
    totals.captured += minorUnits
    totals.captures += count
    if status == .refunded {
      totals.refunded += minorUnits
      totals.refunds += count
    }
    summary.totals[currency] = totals
  }
}
