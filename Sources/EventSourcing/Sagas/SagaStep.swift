/// One row of a saga's table: what is asked for, which events answer, and how it is taken back.
public struct SagaStep<Name: Sendable & Hashable>: Sendable, Hashable {
  public var name: Name
  /// Nil when the step is done before the saga starts.
  public var command: String?
  public var success: [String]
  public var failure: [String]
  /// Nil when there is nothing to take back.
  public var compensation: String?
  /// The events that say that the compensation is done.
  public var undone: [String]
  /// How long the saga waits for an answer, in seconds; then the step counts as possibly done. Nil:
  /// the command is sent until it is acknowledged, and that is its answer.
  public var deadlineSeconds: Int64?
  /// The same for the compensation, which then counts as blocked.
  public var undoDeadlineSeconds: Int64?

  public init(
    _ name: Name, command: String?, success: [String], failure: [String] = [],
    compensation: String? = nil, undone: [String] = [], deadlineSeconds: Int64? = nil,
    undoDeadlineSeconds: Int64? = nil
  ) {
    self.deadlineSeconds = deadlineSeconds
    self.undoDeadlineSeconds = undoDeadlineSeconds
    self.name = name
    self.command = command
    self.success = success
    self.failure = failure
    self.compensation = compensation
    self.undone = undone
  }
}

/// Whether a command does a step or takes it back.
public enum SagaDirection: String, Sendable, Hashable {
  case forward
  case undo
}

/// How a command of a saga ended.
public enum SagaOutcome: String, Sendable, Hashable {
  case succeeded
  case failed
  /// The domain will never do it.
  case refused
  /// It was done already, or there was nothing to undo.
  case notNeeded = "not_needed"
  /// No answer came in time: it may have been done.
  case timedOut = "timed_out"
  /// An operator has taken it for done, on evidence from outside.
  case skipped
}

/// Why a saga turned back.
public struct SagaFailure: Sendable, Hashable {
  public var code: String
  public var reason: String

  public init(code: String, reason: String) {
    self.code = code
    self.reason = reason
  }
}
