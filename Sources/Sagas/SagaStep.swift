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

  public init(
    _ name: Name, command: String?, success: [String], failure: [String] = [],
    compensation: String? = nil, undone: [String] = []
  ) {
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
