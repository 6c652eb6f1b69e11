import Synchronization

/// Snapshots in memory: the second conformer of ``SnapshotStore``.
public final class InMemorySnapshots: SnapshotStore {
  private let snapshots = Mutex<[StreamName: Snapshot]>([:])

  public init() {}

  public func snapshot(of stream: StreamName) async throws -> Snapshot? {
    snapshots.withLock { $0[stream] }
  }

  public func save(_ snapshot: Snapshot) async throws -> Bool {
    snapshots.withLock { snapshots in
      let header = snapshot.header
      if let kept = snapshots[header.stream]?.header, kept.schema == header.schema,
        kept.version >= header.version
      {
        return false
      }
      snapshots[header.stream] = snapshot
      return true
    }
  }

  public func discard(_ header: Snapshot.Header) async throws {
    snapshots.withLock { snapshots in
      if snapshots[header.stream]?.header == header { snapshots[header.stream] = nil }
    }
  }

  public func headers(
    after stream: StreamName?, limit: Int
  ) async throws -> [Snapshot.Header] {
    let headers = snapshots.withLock { $0.values.map(\.header) }
    let named = headers.map { (name: $0.stream.description, header: $0) }
    return named.filter { named in stream.map { named.name > $0.description } ?? true }
      .sorted { $0.name < $1.name }.prefix(limit).map(\.header)
  }

  public func removeAll() async throws { snapshots.withLock { $0.removeAll() } }
}
