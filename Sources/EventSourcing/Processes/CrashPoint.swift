import Foundation
import Synchronization

/// Places where a process may be made to die, for tests of what is left behind: around every commit,
/// every dispatch and every outside call of sagas and reactors.
///
/// `MAGASIN_CRASH_AT=k` kills the process, as `kill -9` does, when it passes such a place for the
/// `k`th time. `MAGASIN_CRASH_AT=0` never does, and says on standard error which it passes. Without
/// the variable passing one costs a comparison.
public enum CrashPoint {
  private static let target = ProcessInfo.processInfo.environment["MAGASIN_CRASH_AT"].flatMap {
    Int($0)
  }
  private static let passed = Atomic(0)

  /// - Parameter name: as in `before commit`.
  public static func pass(_ name: @autoclosure () -> String) {
    guard let target else { return }
    let count = passed.add(1, ordering: .relaxed).newValue
    if target == 0 || target == count {
      FileHandle.standardError.write(Data("crash point \(count): \(name())\n".utf8))
    }
    if target == count { kill(getpid(), SIGKILL) }
  }
}
