import EventSourcing
import Foundation

/// Who this process is among those that may hold a lease: the machine, the process namespace, the
/// number, and when it started, since numbers are used again.
struct ProcessIdentity: Sendable, Hashable {
  private var machine: String
  private var namespace: String
  private var number: Int32
  private var started: String

  private static let separator: Character = "|"

  /// Of a process of this machine; nil when there is none of that number.
  private init?(of number: Int32) {
    guard let started = Self.started(number) else { return nil }
    machine = ProcessInfo.processInfo.hostName
    namespace = Self.namespace
    self.number = number
    self.started = started
  }

  private init?(_ text: String) {
    let parts = text.split(separator: Self.separator, omittingEmptySubsequences: false)
    guard parts.count == 4, let number = Int32(parts[2]) else { return nil }
    machine = String(parts[0])
    namespace = String(parts[1])
    self.number = number
    started = String(parts[3])
  }

  private var text: String {
    [machine, namespace, String(number), started].joined(separator: String(Self.separator))
  }

  /// Of what runs in this process. Without `/proc` nobody can tell whether it is alive, and its
  /// leases are waited for.
  static let process: LeaseProcess = {
    let own = ProcessIdentity(of: getpid())
    return LeaseProcess(own?.text ?? "process \(getpid())") { owner in
      guard let own, let owner = ProcessIdentity(owner), owner.machine == own.machine,
        owner.namespace == own.namespace
      else { return false }
      if kill(owner.number, 0) != 0, errno == ESRCH { return true }
      // Alive under that number: is it the same one? Who cannot be looked at counts as alive.
      return ProcessIdentity(of: owner.number).map { $0 != owner } ?? false
    }
  }()

  /// Numbers mean something inside one namespace of processes of one boot only.
  private static let namespace: String = {
    let space = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
    let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    return [space, boot?.trimmingCharacters(in: .whitespacesAndNewlines)].compactMap { $0 }
      .joined(separator: " ")
  }()

  /// The 22nd field of `/proc/<number>/stat`: the start, in clock ticks since the boot (proc(5)).
  private static func started(_ number: Int32) -> String? {
    guard
      let status = try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8),
      let name = status.lastIndex(of: ")")
    else { return nil }
    let fields = status[name...].dropFirst(2).split(separator: " ")
    // The name was the second, so that the third comes first here. A zombie is dead.
    guard fields.count > 19, fields[0] != "Z" else { return nil }
    return String(fields[19])
  }
}
