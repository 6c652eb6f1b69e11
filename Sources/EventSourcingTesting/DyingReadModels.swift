import EventSourcing
import Synchronization

/// A store as a process sees it that dies in the middle: the operation of a given number fails,
/// before or after it was done, and so does every one after it.
public final class DyingReadModels: ForwardingReadModels {
  public struct Died: Error, CustomStringConvertible {
    public var description: String { "this process is dead" }
  }

  /// Where a process dies.
  public struct Point: Sendable, CustomStringConvertible {
    /// Counts the operations, from 1.
    public var operation: Int
    public var isDone: Bool

    public init(operation: Int, isDone: Bool) {
      self.operation = operation
      self.isDone = isDone
    }

    public var description: String { "\(isDone ? "after" : "before") operation \(operation)" }
  }

  public let base: any ReadModelStore
  private let point: Point
  private let count = Mutex(0)

  public init(_ base: any ReadModelStore, at point: Point) {
    self.base = base
    self.point = point
  }

  /// Whether it has come to the point.
  public var isDead: Bool { count.withLock { $0 >= point.operation } }

  private func step<Result>(_ body: () async throws -> Result) async throws -> Result {
    let number = count.withLock { count in
      count += 1
      return count
    }
    if number > point.operation || (number == point.operation && !point.isDone) { throw Died() }
    let result = try await body()
    if number == point.operation { throw Died() }
    return result
  }

  public func prepare(_ collection: String, indexes: [ReadModelIndex]) async throws {
    try await step { try await base.prepare(collection, indexes: indexes) }
  }
  public func drop(_ collection: String) async throws {
    try await step { try await base.drop(collection) }
  }
  public func load(_ ids: [String], from collection: String) async throws -> [String: StoredRow] {
    try await step { try await base.load(ids, from: collection) }
  }
  public func write(
    _ rows: [StoredRow], to collection: String, before deadline: ContinuousClock.Instant?
  ) async throws {
    try await step { try await base.write(rows, to: collection, before: deadline) }
  }
  public func insert(
    _ rows: [StoredRow], into collection: String, before deadline: ContinuousClock.Instant?
  ) async throws -> Int {
    try await step { try await base.insert(rows, into: collection, before: deadline) }
  }
  public func compare(_ old: String, with new: String) async throws -> RowComparison {
    try await step { try await base.compare(old, with: new) }
  }
  public func acquire(
    _ projection: String, version: Int, owner: String, for duration: Duration,
    _ takeover: LeaseTakeover
  ) async throws -> LeasedProgress? {
    try await step {
      try await base.acquire(
        projection, version: version, owner: owner, for: duration, takeover)
    }
  }
  public func release(_ lease: Lease) async throws {
    try await step { try await base.release(lease) }
  }
  public func request(_ projection: String, by owner: String) async throws {
    try await step { try await base.request(projection, by: owner) }
  }
  public func save(
    _ progress: ProjectionProgress, holding lease: Lease, for duration: Duration
  ) async throws -> LeaseState {
    try await step { try await base.save(progress, holding: lease, for: duration) }
  }
  public func remove(_ lease: Lease) async throws {
    try await step { try await base.remove(lease) }
  }
  // By a clock: not counted, so that the points of two runs are the same.
  public func renew(_ lease: Lease, for duration: Duration) async throws -> Bool {
    if isDead { throw Died() }
    return try await base.renew(lease, for: duration)
  }
}
