import EventSourcingMongo
import Foundation

/// Reads a file, or standard input, line by line; memory holds a piece of it.
struct LineReader {
  /// Longer than any line of an export: a commit has 16 MB at most.
  private static let lineBytesMax = 128 << 20

  private let path: String
  private let handle: FileHandle
  private var buffer: [UInt8] = []
  private var start = 0
  private var isAtEnd = false

  /// - Parameter path: `-` is standard input.
  init(_ path: String) throws {
    self.path = path
    guard path != "-" else {
      handle = .standardInput
      return
    }
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw LogFileError("\(path) cannot be read")
    }
    self.handle = handle
  }

  /// The next line without its end; nil after the last one.
  mutating func next() throws -> [UInt8]? {
    var searched = start
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = end + 1 }
        return Array(buffer[start..<end])
      }
      searched = buffer.count - start
      guard !isAtEnd, searched <= Self.lineBytesMax else {
        defer { start = buffer.count }
        if isAtEnd { return searched > 0 ? Array(buffer[start...]) : nil }
        throw LogFileError("\(path): a line is longer than \(Self.lineBytesMax) bytes")
      }
      buffer.removeSubrange(..<start)
      start = 0
      try fill()
    }
  }

  private mutating func fill() throws {
    do {
      let data = try handle.read(upToCount: 1 << 20) ?? Data()
      isAtEnd = data.isEmpty
      buffer.append(contentsOf: data)
    } catch {
      throw LogFileError("\(path) cannot be read: \(error.localizedDescription)")
    }
  }
}
