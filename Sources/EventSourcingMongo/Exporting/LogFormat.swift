import EventSourcing
import Mongo

/// How an exported log is written: UTF-8, one JSON object a line.
public enum LogFormat: String, Sendable, CaseIterable {
  /// One line a commit: the stored document in ``ExactJSON``.
  case jsonl
  /// One line an event, CloudEvents 1.0 in its JSON format, see ``CloudEventLine``.
  case cloudevents

  /// Deeper than any document that MongoDB stores.
  static let depthMax = 256

  /// The lines of a commit, each with its line end.
  ///
  /// They are read back and compared before they are given out: what is exported can be imported.
  /// - Throws: ``UnreadableDocument`` when the commit cannot be written exactly.
  func lines(of commit: BSONDocument) throws -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(2 * commit.bytes.count)
    switch self {
    case .jsonl:
      try commit.withView { try ExactJSON.write($0.bytes, to: &output) }
      output.append(UInt8(ascii: "\n"))
    case .cloudevents: try CloudEventLine.write(commit, to: &output)
    }
    var reader = LogLineReader()
    var restored: [BSONDocument] = []
    do {
      for line in output.split(separator: UInt8(ascii: "\n")) {
        if let commit = try reader.read(Array(line)) { restored.append(commit) }
      }
    } catch let error as LogFileError {
      throw UnreadableDocument(reason: "it cannot be written exactly: \(error)")
    }
    guard restored == [commit] else {
      throw UnreadableDocument(reason: "it cannot be written exactly")
    }
    return output
  }
}

/// Puts commits together from the lines of an export, of either format.
struct LogLineReader: Sendable {
  /// Lines read.
  private(set) var line = 0
  private var format: LogFormat?
  private var event = CloudEventReader()

  /// The commit that a line ends, or nil when more of its lines must follow.
  /// - Throws: ``LogFileError`` that names the line.
  mutating func read(_ text: [UInt8]) throws -> BSONDocument? {
    line += 1
    do {
      guard
        case .object(let fields) = try JSONReader.value(from: text, depthMax: LogFormat.depthMax)
      else { throw UnreadableDocument(reason: "it is no JSON object") }
      let format = format ?? (fields["specversion"] == nil ? .jsonl : .cloudevents)
      self.format = format
      switch format {
      case .jsonl: return try ExactBSON.document(fields)
      case .cloudevents: return try event.add(fields)
      }
    } catch let error as any Error & CustomStringConvertible {
      throw LogFileError("line \(line): \(error)")
    }
  }

  /// - Throws: ``LogFileError`` when the last commit is not whole.
  func finish() throws {
    if event.isInsideCommit {
      throw LogFileError("line \(line): the file ends inside a commit")
    }
  }
}
