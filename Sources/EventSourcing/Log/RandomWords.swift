import Foundation
import Synchronization

/// The kernel's random numbers, fetched many at a time: asking for each id costs a system call, two
/// for a UUID, and more than the rest of making one.
final class RandomWords: Sendable {
  static let shared = RandomWords()

  private static let fetched = 512

  private struct Stock {
    let source = FileHandle(forReadingAtPath: "/dev/urandom")
    var words: [UInt64] = []
  }

  private let stock = Mutex(Stock())

  func pair() -> (UInt64, UInt64) {
    stock.withLock { stock in
      if stock.words.count < 2 { stock.words = Self.fetch(from: stock.source) }
      return (stock.words.removeLast(), stock.words.removeLast())
    }
  }

  private static func fetch(from source: FileHandle?) -> [UInt64] {
    let size = MemoryLayout<UInt64>.size
    if let data = try? source?.read(upToCount: fetched * size), data.count == fetched * size {
      return data.withUnsafeBytes { bytes in
        (0..<fetched).map { bytes.loadUnaligned(fromByteOffset: $0 * size, as: UInt64.self) }
      }
    }
    var system = SystemRandomNumberGenerator()
    return (0..<fetched).map { _ in system.next() }
  }
}
