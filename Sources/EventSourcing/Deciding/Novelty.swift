import Synchronization

/// Whether an aggregate that begins is likely to be new, so that its stream need not be read. An
/// append that turns out to be a repetition stops the appender's pipeline, so after one (a restart,
/// another process of the same role) the next beginnings are looked up first.
@usableFromInline
final class Novelty: Sendable {
  private static let lookedUp = 1000

  private let left = Atomic(0)

  @usableFromInline
  init() {}

  @usableFromInline
  func noteRepetition() { left.store(Self.lookedUp, ordering: .relaxed) }

  @usableFromInline
  func isNewLikely() -> Bool {
    left.load(ordering: .relaxed) <= 0 || left.subtract(1, ordering: .relaxed).oldValue <= 0
  }
}
