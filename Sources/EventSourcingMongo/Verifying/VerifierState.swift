import EventSourcing
import Foundation

/// How far a verification came, kept in a file so that it can go on there: `FILE`, replaced whole
/// by a rename, and `FILE.traces`, appended to and durable before `FILE` speaks of it.
struct VerifierState: Sendable {
  private static let format: Int64 = 1

  let path: String
  let file: TraceFile
  private(set) var checked: Checked?

  struct Checked: Sendable {
    /// Every commit that begins up to here was checked.
    var end: Position
    var commits: Int64
    var last: RangeCheck.Anchor
    var traceBytes: Int
  }

  /// Opens the state in a file, or begins one.
  init(at path: String) throws {
    self.path = path
    file = try TraceFile(at: path + ".traces")
    if let data = FileManager.default.contents(atPath: path) {
      do {
        checked = try Self.decode(Array(data))
      } catch {
        throw LogFileError("\(path) is no state of a verification: \(error)")
      }
    }
  }

  /// Writes down how far the verification is. `traces` must be durable.
  mutating func write(_ checked: Checked) throws {
    let fields: Fields = [
      "format": .integer(Self.format), "end": .integer(checked.end.rawValue),
      "commits": .integer(checked.commits),
      "last_position": .integer(checked.last.position.rawValue),
      "last_hash": .string(checked.last.hash.hexadecimal),
      "trace_bytes": .integer(Int64(checked.traceBytes)),
    ]
    try DurableFile.write(JSONWriter.bytes(.object(fields)), to: path)
    self.checked = checked
  }

  /// The verification is over.
  func remove() {
    unlink(path)
    file.remove()
  }

  private static func decode(_ bytes: [UInt8]) throws -> Checked {
    guard case .object(let fields) = try JSONReader.value(from: bytes) else {
      throw FieldError("state", .invalid("is no object"))
    }
    guard try fields.integer("format") == format else {
      throw FieldError("format", .invalid("is another one"))
    }
    guard let hash = Hexadecimal.bytes(try fields.string("last_hash")), hash.count == 32 else {
      throw FieldError("last_hash", .invalid("is no hash"))
    }
    return Checked(
      end: Position(try fields.integer("end")), commits: try fields.integer("commits"),
      last: RangeCheck.Anchor(
        position: Position(try fields.integer("last_position")), hash: ChainHash(hash)),
      traceBytes: Int(try fields.integer("trace_bytes")))
  }
}
