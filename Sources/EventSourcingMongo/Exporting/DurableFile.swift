import Foundation

/// A file beside the log (an export, a state, a head) cannot be used, and why.
public struct LogFileError: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// A file that is there whole or not at all: it is written beside its place and then renamed.
public struct DurableFile: ~Copyable {
  private let path: String
  /// Where it is written until it is whole; nil when it is, or has no place of its own.
  private var partialPath: String?
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  public init(replacing path: String) throws {
    self.path = path
    partialPath = path + ".partial"
    descriptor = open(path + ".partial", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Self.failure(path) }
  }

  private init(path: String, descriptor: Int32) {
    self.path = path
    partialPath = nil
    self.descriptor = descriptor
  }

  /// Standard output, which is written as it goes.
  public static var standardOutput: DurableFile {
    DurableFile(path: "standard output", descriptor: dup(STDOUT_FILENO))
  }

  deinit {
    close(descriptor)
    if let partialPath { unlink(partialPath) }
  }

  /// Writes all of it, at once.
  public static func write(_ bytes: [UInt8], to path: String) throws {
    var file = try DurableFile(replacing: path)
    try file.write(bytes)
    try file.finish()
  }

  public mutating func write(_ bytes: [UInt8]) throws {
    buffer += bytes
    if buffer.count > 1 << 20 { try flush() }
  }

  /// Puts the file in its place. What is not finished is not there.
  public mutating func finish() throws {
    try flush()
    guard let partialPath else { return }
    guard fsync(descriptor) == 0, rename(partialPath, path) == 0 else { throw Self.failure(path) }
    self.partialPath = nil
  }

  private mutating func flush() throws {
    try buffer.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count {
        let written = Foundation.write(
          descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        guard written > 0 else { throw Self.failure(path) }
        done += written
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }

  private static func failure(_ path: String) -> LogFileError {
    LogFileError("\(path) cannot be written: \(String(cString: strerror(errno)))")
  }
}
