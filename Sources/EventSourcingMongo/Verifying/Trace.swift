import Crypto
import EventSourcing

/// What one event or one command id leaves for the checks that need the whole log: 32 bytes.
///
/// The key of a stream is the first half of its name's SHA-256: two names with one key cannot be
/// made. The key of a command id is itself.
struct Trace: Sendable {
  let high: UInt64
  let low: UInt64
  let position: Int64
  /// 0 for a command id; a version is at least 1.
  let version: Int64

  init(command: UnsafeRawBufferPointer, position: Position) {
    high = command.loadUnaligned(as: UInt64.self)
    low = command.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    self.position = position.rawValue
    version = 0
  }

  init(
    category: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer, version: Int64,
    position: Position
  ) {
    var hasher = SHA256()
    hasher.update(bufferPointer: category)
    withUnsafeBytes(of: UInt8(ascii: "/")) { hasher.update(bufferPointer: $0) }
    hasher.update(bufferPointer: id)
    (high, low) = hasher.finalize().withUnsafeBytes { digest in
      (
        digest.loadUnaligned(as: UInt64.self),
        digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      )
    }
    self.position = position.rawValue
    self.version = version
  }

  var isCommand: Bool { version == 0 }

  /// Spreads keys evenly, ids that begin with the time too.
  func partition(of count: Int) -> Int {
    Int(truncatingIfNeeded: ((high ^ low) &* 0x9E37_79B9_7F4A_7C15) >> 32) & (count - 1)
  }

  private func hasKey(of other: Trace) -> Bool {
    high == other.high && low == other.low && isCommand == other.isCommand
  }

  /// By key, then by position.
  static func precedes(_ left: Trace, _ right: Trace) -> Bool {
    if left.high != right.high { return left.high < right.high }
    if left.low != right.low { return left.low < right.low }
    if left.isCommand != right.isCommand { return left.isCommand }
    return left.position < right.position
  }

  /// A trace that breaks a rule, and what it should follow.
  struct Break: Sendable {
    var position: Position
    var isCommand: Bool
    /// The version that belongs there; for a command id, the commit that had it first.
    var expected: Int64
  }

  /// Of all traces with some keys, the first in the log's order that breaks a rule; one of a
  /// version and one of a command id, when both are at one position.
  static func firstBreaks(among traces: consuming [Trace]) -> [Break] {
    traces.sort(by: precedes)
    var breaks: [Break] = []
    var index = 0
    while index < traces.count {
      let first = traces[index]
      var expected: Int64 = 1
      while index < traces.count, traces[index].hasKey(of: first) {
        let trace = traces[index]
        let isBroken = trace.isCommand ? expected > 1 : trace.version != expected
        if isBroken {
          keep(
            Break(
              position: Position(trace.position), isCommand: trace.isCommand,
              expected: trace.isCommand ? first.position : expected),
            among: &breaks)
          while index < traces.count, traces[index].hasKey(of: first) { index += 1 }
          break
        }
        expected += 1
        index += 1
      }
    }
    return breaks
  }

  /// Keeps those at the lowest position.
  static func keep(_ new: Break, among breaks: inout [Break]) {
    if let lowest = breaks.first?.position {
      if new.position > lowest { return }
      if new.position < lowest { breaks.removeAll() }
    }
    breaks.append(new)
  }
}
