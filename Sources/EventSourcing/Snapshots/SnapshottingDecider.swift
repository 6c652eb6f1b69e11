/// A decider whose states can be kept. Both functions are pure, and each other's inverse: a state
/// that was kept and read again decides and evolves as the one that was folded.
public protocol SnapshottingDecider: Decider {
  /// Counts the shapes and meanings of kept states, from 1: a change of `snapshot(of:)`, of what
  /// the state holds, or of what `evolve` makes of recorded events takes the next number.
  static var snapshotSchema: Int { get }
  static func snapshot(of state: State) -> Fields
  /// - Throws: ``FieldError`` for what is no snapshot; the stream is then folded from its start.
  static func state(from snapshot: Fields) throws -> State
}

/// A fold over the recorded events of one stream whose state may be kept.
public protocol SnapshottingFold: Sendable {
  /// Nil when states of this kind are not kept.
  var snapshotSchema: Int? { get }
  var snapshot: Fields { get }
  /// Takes a state that was kept instead of the fold's own.
  mutating func restore(_ snapshot: Fields) throws
  mutating func apply(_ event: Recorded) throws
}

/// Folds through a decider's `evolve`.
public struct AggregateFold<D: Decider>: SnapshottingFold {
  private struct Keeping: Sendable {
    var schema: Int
    var write: @Sendable (D.State) -> Fields
    var read: @Sendable (Fields) throws -> D.State
  }

  public private(set) var state = D.initial
  private let keeping: Keeping?

  /// A fold whose states are not kept.
  public init(_ decider: D.Type) { keeping = nil }

  public init(_ decider: D.Type) where D: SnapshottingDecider {
    keeping = Keeping(
      schema: D.snapshotSchema, write: { D.snapshot(of: $0) }, read: { try D.state(from: $0) })
  }

  public var snapshotSchema: Int? { keeping?.schema }
  public var snapshot: Fields { keeping?.write(state) ?? [:] }

  public mutating func restore(_ snapshot: Fields) throws {
    if let keeping { state = try keeping.read(snapshot) }
  }

  public mutating func apply(_ event: Recorded) throws { D.evolve(&state, try D.decode(event)) }
}
