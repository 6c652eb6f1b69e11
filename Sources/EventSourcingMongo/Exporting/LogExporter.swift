import EventSourcing
import Mongo

/// Writes the log out, checking the hash chain on the way. Memory does not grow with the log.
public struct LogExporter: Sendable {
  public struct Summary: Sendable {
    public var commits: Int64
    /// The position before the first event that was written.
    public var start: Position
    /// The position of the last one.
    public var end: Position
    /// The last commit's hash, in hexadecimal.
    public var hash: String
  }

  private let database: MongoDatabase

  public init(_ database: MongoDatabase) { self.database = database }

  /// Hands out the lines of every commit after `position`, up to where the log ends now.
  ///
  /// - Throws: ``LogFault`` where the log is corrupt, ``LogFileError`` when a commit cannot be
  ///   written exactly or `position` is inside a commit, `MongoError`, and what `write` throws.
  public func export(
    _ format: LogFormat, after start: Position = .start,
    progress: (_ position: Position, _ end: Position) -> Void = { _, _ in },
    write: ([UInt8]) throws -> Void
  ) async throws -> Summary {
    let connection = database.dedicatedConnection(name: "export")
    let end = try await connection.run { try $0.soundEnd() }
    let first = try await connection.run { connection in
      ChainCheck(after: try start > .start ? connection.storedCommit(atOrBefore: start) : nil)
    }
    guard first.next == start + 1 else {
      throw LogFileError("no commit ends at position \(start): export after the end of one")
    }
    var page = Page(chain: first, end: end)
    page = try await page.following(on: connection)
    while !page.documents.isEmpty {
      let current = page
      async let following = current.following(on: connection)
      for lines in try await current.lines(in: format) { try write(lines) }
      progress(current.last, end)
      page = try await following
    }
    return Summary(
      commits: page.chain.commits, start: start, end: page.last,
      hash: (page.chain.hash ?? .none).hexadecimal)
  }
}

/// Some commits of the log, checked, as they are stored.
private struct Page: Sendable {
  private static let commitsMax = 2000
  /// Read no further when the documents have so many bytes.
  private static let bytesMax = 8 << 20
  private static let slices = 2

  private struct IsFull: Error {}

  private(set) var documents: [BSONDocument] = []
  /// Stands after the page.
  private(set) var chain: ChainCheck
  private let end: Position

  init(chain: ChainCheck, end: Position) {
    self.chain = chain
    self.end = end
  }

  var last: Position { Position((chain.next ?? .start + 1).rawValue - 1) }

  /// The page after this one; empty at the end.
  func following(on connection: MongoConnection) async throws -> Page {
    try await connection.run { try self.read(on: $0) }
  }

  private func read(on connection: isolated MongoConnection) throws -> Page {
    var page = Page(chain: chain, end: end)
    guard last < end else { return page }
    var bytes = 0
    do {
      _ = try connection.find(
        LogCollection.positions(after: last, upTo: end), in: LogCollection.name,
        options: LogCollection.options(sort: 1, limit: Self.commitsMax)
      ) { view in
        try page.chain.add(view)
        page.documents.append(view.copied)
        bytes += view.bytes.count
        if bytes > Self.bytesMax { throw IsFull() }
      }
    } catch is IsFull {}
    guard !page.documents.isEmpty else { throw ChainCheck.hole(at: last + 1, before: nil) }
    _ = page.chain.takeTraces()
    return page
  }

  /// The lines of all commits in order, a part at a time.
  func lines(in format: LogFormat) async throws -> [[UInt8]] {
    let length = (documents.count + Self.slices - 1) / Self.slices
    return try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
      for start in stride(from: 0, to: documents.count, by: length) {
        let slice = documents[start..<min(start + length, documents.count)]
        group.addTask {
          var output: [UInt8] = []
          for document in slice { output += try Self.lines(of: document, in: format) }
          return (start, output)
        }
      }
      var parts: [(Int, [UInt8])] = []
      for try await part in group { parts.append(part) }
      return parts.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  private static func lines(of document: BSONDocument, in format: LogFormat) throws -> [UInt8] {
    do {
      return try format.lines(of: document)
    } catch let error as UnreadableDocument {
      let position = document.withView { $0["_id"]?.integer } ?? 0
      throw LogFileError("the commit at position \(position) cannot be exported: \(error)")
    }
  }
}
