/// A stream is not at the version that the append expected. Nothing was written.
public struct AppendConflict: Error, Sendable, CustomStringConvertible {
  public var stream: StreamName
  public var expected: ExpectedVersion
  /// Nil when a decision was built on an append of this process that failed.
  public var actual: Version?

  public init(stream: StreamName, expected: ExpectedVersion, actual: Version?) {
    self.stream = stream
    self.expected = expected
    self.actual = actual
  }

  public var description: String {
    "stream \(stream) is at version \(actual.map(\.description) ?? "unknown"), expected \(expected)"
  }
}

/// The command id was used before, with another payload. Nothing was written.
public struct CommandIDReused: Error, Sendable, CustomStringConvertible {
  public var commandID: CommandID
  public init(commandID: CommandID) { self.commandID = commandID }
  public var description: String { "command id \(commandID) was used with another payload" }
}

/// The append did not end in success for a reason that is not the caller's choice of versions.
public enum AppendFailure: Error, Sendable, CustomStringConvertible {
  /// The commit can never be stored. Nothing was written.
  case invalid(String)
  /// This append wrote nothing and never will: the same command may be sent again. (An earlier one
  /// of the same command id may still have done it.)
  case notDone(String)
  /// More is asked for than can be done: nothing was written. The same command may be sent again
  /// after a moment.
  case overloaded
  /// It may have been written. Sending the same command id again settles it.
  case unknown(CommandID)

  public var description: String {
    switch self {
    case .invalid(let reason): "the commit is invalid: \(reason)"
    case .notDone(let reason): "nothing was written: \(reason)"
    case .overloaded: "nothing was written: too many appends are waiting"
    case .unknown(let id): "the outcome of command \(id) is unknown; send it again"
    }
  }
}

/// The stored log breaks one of its own rules (a hole, a document that cannot be read). Readers
/// stop; they never skip.
public struct LogCorruption: Error, Sendable, CustomStringConvertible {
  public var position: Position
  public var reason: String
  public init(position: Position, reason: String) {
    self.position = position
    self.reason = reason
  }
  public var description: String { "the log is corrupt at position \(position): \(reason)" }
}
