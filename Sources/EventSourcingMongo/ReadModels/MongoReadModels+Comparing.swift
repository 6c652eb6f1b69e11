import EventSourcing
import Mongo

/// Two collections side by side, in the order of ids, by their bytes.
extension MongoReadModels {
  public func compare(_ old: String, with new: String) async throws -> RowComparison {
    var comparison = RowComparison()
    var olds = PrefetchedRows(database, of: old)
    var news = PrefetchedRows(database, of: new)
    var left = try await olds.next()
    var right = try await news.next()
    while left != nil || right != nil {
      if let before = left, let after = right, before.document == after.document {
        comparison.rows += 1
        left = try await olds.next()
        right = try await news.next()
        continue
      }
      let leftRow = try left.map { try $0.decoded() }
      let rightRow = try right.map { try $0.decoded() }
      let order = Self.order(leftRow?.id, rightRow?.id)
      if order == 0, let before = leftRow, let after = rightRow {
        if before.position == after.position {
          comparison.addDifferent(before.id)
        } else {
          comparison.addUnsettled(before.id)
        }
      } else if let id = order < 0 ? leftRow?.id : rightRow?.id {
        comparison.addUnsettled(id)
      }
      if order <= 0 { left = try await olds.next() }
      if order >= 0 {
        comparison.rows += 1
        right = try await news.next()
      }
    }
    return comparison
  }

  /// MongoDB's order of ids: by their bytes. Who has none left comes last.
  private static func order(_ left: String?, _ right: String?) -> Int {
    guard let left else { return 1 }
    guard let right else { return -1 }
    if left == right { return 0 }
    return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
  }
}

/// A row as it is stored.
private struct RawRow: Sendable {
  let document: BSONDocument

  func decoded() throws -> StoredRow { try document.withView(MongoReadModels.row) }
}

/// All rows of a collection in the order of ids; the next batch is fetched while one is looked at.
private struct PrefetchedRows: ~Copyable {
  private static let batchMax = 2000

  private let database: MongoDatabase
  private let collection: String
  private var batch: ArraySlice<RawRow> = []
  private var fetching: Task<[RawRow], any Error>?
  private var isAtEnd = false

  init(_ database: MongoDatabase, of collection: String) {
    self.database = database
    self.collection = collection
    fetching = Self.fetch(from: database, collection, after: nil)
  }

  deinit { fetching?.cancel() }

  mutating func next() async throws -> RawRow? {
    if let row = batch.popFirst() { return row }
    guard !isAtEnd, let rows = try await fetching?.value else { return nil }
    if rows.count < Self.batchMax {
      isAtEnd = true
      fetching = nil
    } else {
      fetching = Self.fetch(from: database, collection, after: try rows.last?.decoded().id)
    }
    batch = rows[...]
    return batch.popFirst()
  }

  private static func fetch(
    from database: MongoDatabase, _ collection: String, after id: String?
  ) -> Task<[RawRow], any Error> {
    Task {
      try await database.withConnection { connection in
        try connection.find(
          MongoReadModels.after(id), in: collection,
          options: MongoReadModels.inOrder(limit: batchMax)
        ) { RawRow(document: $0.copied) }
      }
    }
  }
}
