import Foundation

/// A process that lives no longer than this one, however this one ends.
///
/// A shell stands between: it ends the child when the pipe to it closes, which the kernel does for
/// us even after `kill -9`. It has a session of its own, so that Ctrl-C reaches only this process,
/// which then ends its children in order.
final class ChildProcess {
  private let process = Process()
  private let lifeline = Pipe()
  let name: String
  let pidFile: URL

  private static let guardian = """
    pid_file=$1; log_file=$2; shift 2
    "$@" >>"$log_file" 2>&1 </dev/null &
    child=$!
    echo "$child" >"$pid_file"
    (cat >/dev/null; kill -TERM "$child" 2>/dev/null) <&0 &
    watcher=$!
    wait "$child"
    status=$?
    kill "$watcher" 2>/dev/null
    rm -f "$pid_file"
    exit "$status"
    """

  /// - Parameters:
  ///   - command: the program and its arguments.
  ///   - folder: gets `NAME.log` and, while the child runs, `NAME.pid`.
  init(_ name: String, command: [String], folder: URL) throws {
    self.name = name
    pidFile = folder.appending(path: "\(name).pid")
    try? FileManager.default.removeItem(at: pidFile)
    process.executableURL = URL(filePath: "/usr/bin/setsid")
    process.arguments =
      ["--wait", "/bin/bash", "-c", Self.guardian, "guardian", pidFile.path()]
      + [folder.appending(path: "\(name).log").path()] + command
    process.standardInput = lifeline
    try process.run()
  }

  var isRunning: Bool { process.isRunning }

  /// The child's own process id, once it has started.
  var pid: Int? {
    (try? String(contentsOf: pidFile, encoding: .utf8))
      .flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// Asks it to end and waits until it has.
  func end() {
    try? lifeline.fileHandleForWriting.close()
    process.waitUntilExit()
  }
}
