/// Where snapshots are kept, one an aggregate.
///
/// Two conformers, ``InMemorySnapshots`` and `MongoSnapshots`, pass the same suite
/// (`EventSourcingTesting.SnapshotConformance`).
public protocol SnapshotStore: Sendable {
  /// Nil when there is none, or one that cannot be read.
  func snapshot(of stream: StreamName) async throws -> Snapshot?

  /// Keeps a snapshot, unless one of the same schema and of the same or a later version is there.
  /// Answers whether it is kept.
  /// - Throws: ``SnapshotTooLarge``.
  func save(_ snapshot: Snapshot) async throws -> Bool

  /// Removes the snapshot that was read, unless another one has taken its place.
  func discard(_ header: Snapshot.Header) async throws

  /// What snapshots there are, in the order of `category/id`, from the first after `stream`.
  func headers(after stream: StreamName?, limit: Int) async throws -> [Snapshot.Header]

  func removeAll() async throws
}

/// The state is larger than the store can hold in one piece.
public struct SnapshotTooLarge: Error, Sendable, CustomStringConvertible {
  public var bytes: Int
  public init(bytes: Int) { self.bytes = bytes }
  public var description: String { "the state of \(bytes) bytes is too large for a snapshot" }
}
