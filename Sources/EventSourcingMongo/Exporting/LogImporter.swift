import EventSourcing
import Mongo

/// Restores a log from the lines that ``LogExporter`` wrote: the same documents, so the same
/// positions and hashes.
///
/// The log must be empty, or hold a beginning of what is imported, as an import that was
/// interrupted leaves it: then what is there is compared and the rest is added. Every commit's
/// shape, position and hash are checked before it is written. Commits are written in order, in
/// batches, so that whatever stops an import, the log is a beginning of the source's.
public struct LogImporter: Sendable {
  public struct Summary: Sendable {
    /// Commits that were read.
    public var commits: Int64
    /// Of these, commits that were in the log already.
    public var known: Int64
    /// The position of the last event.
    public var end: Position
    /// The last commit's hash, in hexadecimal.
    public var hash: String
  }

  private static let batchCommitsMax = 1000
  private static let batchBytesMax = 8 << 20

  private let connection: MongoConnection
  /// Where the log ended when the import began.
  private let existingEnd: Position
  private var reader = LogLineReader()
  private var chain: ChainCheck?
  private var batch: [BSONDocument] = []
  private var batchBytes = 0
  private var known: Int64 = 0

  /// Creates the log's indexes when missing.
  public init(into database: MongoDatabase) async throws {
    connection = database.dedicatedConnection(name: "import")
    existingEnd = try await connection.run { connection in
      try connection.writeCommand(
        LogCollection.createIndexes, operation: "create the log's indexes")
      return try connection.soundEnd()
    }
  }

  /// How far the import is.
  public var position: Position { chain?.next.map { Position($0.rawValue - 1) } ?? .start }

  /// Takes a line of the export, without its line end.
  /// - Throws: ``LogFileError`` that names the line; what was taken since the last full batch is
  ///   not written then. `MongoError`: the same import may be run again, and goes on.
  public mutating func add(line: [UInt8]) async throws {
    guard let document = try reader.read(line) else { return }
    if chain == nil { chain = try await start(at: document) }
    do {
      try document.withView { try chain?.add($0) }
    } catch let fault as LogFault {
      throw LogFileError("line \(reader.line): position \(fault.position): \(fault.reason)")
    }
    _ = chain?.takeTraces()
    batch.append(document)
    batchBytes += document.bytes.count
    if batch.count >= Self.batchCommitsMax || batchBytes >= Self.batchBytesMax {
      try await flush()
    }
  }

  /// Writes what is left.
  /// - Throws: ``LogFileError`` when the last commit is not whole.
  public mutating func finish() async throws -> Summary {
    try reader.finish()
    try await flush()
    return Summary(
      commits: chain?.commits ?? 0, known: known, end: position,
      hash: (chain?.hash ?? .none).hexadecimal)
  }

  /// What the first commit of the file is chained to: the beginning, or a commit of the log.
  private func start(at document: BSONDocument) async throws -> ChainCheck {
    let first = Position(document.withView { $0["_id"]?.integer } ?? 0)
    guard first > .start + 1 else { return ChainCheck(after: nil) }
    let before = Position(first.rawValue - 1)
    let chain = try await connection.run {
      ChainCheck(after: try $0.storedCommit(atOrBefore: before))
    }
    guard chain.next == first else {
      throw LogFileError(
        "line 1: it begins at position \(first), but no commit of the log ends at \(before)")
    }
    return chain
  }

  private mutating func flush() async throws {
    guard !batch.isEmpty else { return }
    let documents = batch
    let existing = documents.prefix {
      ($0.withView { $0["_id"]?.integer } ?? 0) <= existingEnd.rawValue
    }
    let new = Array(documents[existing.count...])
    try await connection.run { connection in
      try connection.compare(Array(existing))
      guard !new.isEmpty else { return }
      let reply = try connection.insertMany(new, into: LogCollection.name)
      if let error = reply.writeErrors.first, error.isDuplicateKey {
        let position = new[error.index].withView { $0["_id"]?.integer } ?? 0
        throw LogFileError(
          """
          position \(position): \(Self.reason(of: error)). What came before is imported.
          """)
      }
      try reply.check(operation: "import")
    }
    known += Int64(existing.count)
    batch.removeAll(keepingCapacity: true)
    batchBytes = 0
  }

  private static func reason(of error: WriteReply.WriteError) -> String {
    switch error.keyPattern.first {
    case "command_id": "its command id is in the log already"
    case "_id": "somebody else writes to this log"
    default: "a version of its streams is in the log already"
    }
  }
}

extension MongoConnection {
  /// - Throws: ``LogFileError`` when the log does not hold exactly these commits.
  fileprivate func compare(_ documents: [BSONDocument]) throws {
    let positions = documents.compactMap { $0.withView { $0["_id"]?.integer } }
    guard let first = positions.first, let last = positions.last else { return }
    let stored = try find(
      LogCollection.positions(after: Position(first - 1), upTo: Position(last)),
      in: LogCollection.name, options: LogCollection.options(sort: 1)
    ) { $0.copied }
    for (index, document) in documents.enumerated()
    where index >= stored.count || stored[index] != document {
      throw LogFileError(
        """
        the log is not empty, and at position \(positions[index]) it is not what is imported: \
        import into an empty log
        """)
    }
  }
}
