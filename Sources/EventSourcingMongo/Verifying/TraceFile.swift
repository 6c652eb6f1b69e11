import Foundation

/// Runs of traces, one after another: for each the number of traces of every partition, then the
/// traces. Only ever appended to.
final class TraceFile: Sendable {
  /// Where the traces of a run begin, and how many each partition has.
  struct Run: Sendable {
    var offset: Int
    var counts: [UInt32]

    var end: Int { offset + counts.reduce(0) { $0 + Int($1) } * MemoryLayout<Trace>.stride }
  }

  let path: String
  private let descriptor: Int32

  /// Opens a file that only one process may have open at a time, and makes it when missing.
  init(at path: String) throws {
    self.path = path
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw LogFileError("\(path) cannot be opened: \(String(cString: strerror(errno)))")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw LogFileError("\(path) is in use by another verification")
    }
  }

  /// A file without a name, which is gone with the process.
  static func anonymous() throws -> TraceFile {
    let path = FileManager.default.temporaryDirectory
      .appending(path: "magasin-verify-\(UUID().uuidString)").path
    let file = try TraceFile(at: path)
    file.remove()
    return file
  }

  deinit { close(descriptor) }

  func remove() { unlink(path) }

  /// Writes a run at `offset`, and waits for the disk when `isDurable`.
  func append(_ partitions: [[Trace]], at offset: Int, isDurable: Bool) throws -> Run {
    let counts = partitions.map { UInt32($0.count) }
    let run = Run(offset: offset + counts.count * MemoryLayout<UInt32>.stride, counts: counts)
    try counts.withUnsafeBytes { try write($0, at: offset) }
    var next = run.offset
    for traces in partitions {
      try traces.withUnsafeBytes {
        try write($0, at: next)
        next += $0.count
      }
    }
    if isDurable { try synchronize() }
    return run
  }

  /// Waits until all that was written is on the disk.
  func synchronize() throws {
    guard fsync(descriptor) == 0 else { throw failure("write") }
  }

  /// The runs in the first `length` bytes; what is behind them is cut off.
  func runs(partitions: Int, length: Int) throws -> [Run] {
    var runs: [Run] = []
    var offset = 0
    while offset < length {
      let counts = try read(UInt32.self, count: partitions, at: offset)
      let start = offset + partitions * MemoryLayout<UInt32>.stride
      let run = Run(offset: start, counts: counts)
      runs.append(run)
      offset = run.end
    }
    guard offset == length, lseek(descriptor, 0, SEEK_END) >= length else {
      throw LogFileError("\(path) is not as it was left")
    }
    guard ftruncate(descriptor, length) == 0 else { throw failure("truncate") }
    return runs
  }

  func traces(ofPartition index: Int, in run: Run) throws -> [Trace] {
    let before = run.counts[..<index].reduce(0) { $0 + Int($1) }
    return try read(
      Trace.self, count: Int(run.counts[index]),
      at: run.offset + before * MemoryLayout<Trace>.stride)
  }

  private func read<Element: BitwiseCopyable>(
    _: Element.Type, count: Int, at offset: Int
  ) throws -> [Element] {
    try Array(unsafeUninitializedCapacity: count) { buffer, initialized in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      var done = 0
      while done < bytes.count {
        let read = pread(
          descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, offset + done)
        guard read > 0 else {
          throw read < 0 ? failure("read") : LogFileError("\(path) is too short")
        }
        done += read
      }
      initialized = count
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let written = pwrite(
        descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, offset + done)
      guard written > 0 else { throw failure("write") }
      done += written
    }
  }

  private func failure(_ operation: String) -> LogFileError {
    LogFileError("cannot \(operation) \(path): \(String(cString: strerror(errno)))")
  }
}
