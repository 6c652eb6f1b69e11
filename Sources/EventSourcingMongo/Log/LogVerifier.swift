import EventSourcing
import Mongo

/// Walks the stored log and checks what it promises: positions and versions without a hole, no
/// command id twice, the hash chain.
public struct LogVerifier: Sendable {
  public struct Report: Sendable {
    public var commits: Int64
    public var events: Int64
    /// The hash of the last commit, in hexadecimal: keep it elsewhere to detect a cut tail.
    public var head: String
    /// The first thing that is wrong, or nil.
    public var corruption: LogCorruption?
  }

  private struct Link: Sendable {
    var position: Position
    var commandID: CommandID
    var events: [(stream: StreamName, version: Version)]
    var storedHash: [UInt8]
    var document: BSONDocument
  }

  private let database: MongoDatabase

  public init(_ database: MongoDatabase) { self.database = database }

  public func verify(progress: (Position) -> Void = { _ in }) async throws -> Report {
    var report = Report(commits: 0, events: 0, head: "", corruption: nil)
    var hash = CommitDocument.noHash
    var next = Position.start + 1
    var versions: [StreamName: Version] = [:]
    var commands: Set<CommandID> = []
    let cursor = database.find(
      BSONDocument(), in: LogCollection.name, options: LogCollection.options(sort: 1)
    ) { view in
      let commit = try CommitDocument.decode(view)
      return Link(
        position: commit.header.firstPosition, commandID: commit.header.context.commandID,
        events: commit.events.map { ($0.stream, $0.version) },
        storedHash: CommitDocument.storedHash(of: view) ?? [], document: view.copied)
    }
    do {
      for try await link in cursor {
        try Self.check(link, next: next, versions: &versions, commands: &commands)
        let expected = link.document.withView {
          CommitDocument.expectedHash(of: $0, chainedTo: hash)
        }
        guard expected == link.storedHash else {
          throw LogCorruption(position: link.position, reason: "the hash chain is broken")
        }
        hash = link.storedHash
        next = link.position + link.events.count
        report.commits += 1
        report.events += Int64(link.events.count)
        if report.commits.isMultiple(of: 10_000) { progress(link.position) }
      }
    } catch let corruption as LogCorruption {
      report.corruption = corruption
    }
    report.head = hash.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    return report
  }

  private static func check(
    _ link: Link, next: Position, versions: inout [StreamName: Version],
    commands: inout Set<CommandID>
  ) throws {
    guard link.position == next else {
      throw LogCorruption(
        position: next, reason: "expected a commit here, the next is at \(link.position)")
    }
    guard commands.insert(link.commandID).inserted else {
      throw LogCorruption(
        position: next, reason: "command id \(link.commandID) appears a second time")
    }
    for (stream, version) in link.events {
      let expected = (versions[stream] ?? Version.none) + 1
      guard version == expected else {
        throw LogCorruption(
          position: link.position,
          reason: "stream \(stream) has version \(version) where \(expected) belongs")
      }
      versions[stream] = version
    }
  }
}
