import Synchronization

/// A database behind a bounded set of connections, each on its own thread.
public final class MongoDatabase: Sendable {
  private struct Waiter {
    var id: Int
    var continuation: CheckedContinuation<MongoConnection?, Never>
  }

  private struct State {
    var idle: [MongoConnection] = []
    var made = 0
    var waiting: [Waiter] = []
    var nextWaiter = 0
  }

  public let uri: MongoURI
  private let pool: ClientPool
  private let connectionsMax: Int
  private let waitMax: Duration
  private let niceness: Int
  private let state = Mutex(State())

  /// - Parameters:
  ///   - connectionsMax: connections, and so threads, at most.
  ///   - waitMax: how long a caller waits for a free one before it is told that nothing was sent.
  ///   - niceness: 0 … 19; the higher, the more the connections' threads give way to others.
  ///   - answerMax: how long the server may take to answer; nil for what the address says.
  public init(
    _ uri: MongoURI, connectionsMax: Int = 32, waitMax: Duration = .milliseconds(1000),
    niceness: Int = 0, answerMax: Duration? = nil
  ) throws {
    self.niceness = niceness
    self.uri = uri
    self.pool = try ClientPool(uri, answerMax: answerMax)
    self.connectionsMax = connectionsMax
    self.waitMax = waitMax
  }

  /// Runs `body` on a connection's own thread. Never take a second connection inside it.
  public func withConnection<Result: Sendable>(
    _ body: @Sendable (isolated MongoConnection) throws -> Result
  ) async throws -> Result {
    let connection = try await lease()
    defer { giveBack(connection) }
    return try await connection.run(body)
  }

  /// A connection of its own for a worker that needs one all the time; outside of the bound.
  public func dedicatedConnection(name: String) -> MongoConnection {
    MongoConnection(pool: pool, database: uri.database, name: name)
  }

  /// A cursor as an asynchronous sequence: one hop to the connection's thread a batch. Leave it
  /// early and the connection is freed with the iterator.
  public func find<Element: Sendable>(
    _ filter: BSONDocument, in collection: String, options: BSONDocument = BSONDocument(),
    batch: Int = 1000, decode: @escaping @Sendable (BSONView) throws -> Element
  ) -> MongoCursor<Element> {
    MongoCursor(
      database: self, filter: filter, collection: collection, options: options, batch: batch,
      decode: decode)
  }

  func lease() async throws -> MongoConnection {
    let (connection, id) = state.withLock { state -> (MongoConnection?, Int) in
      if let connection = state.idle.popLast() { return (connection, 0) }
      if state.made < connectionsMax {
        state.made += 1
        return (
          MongoConnection(
            pool: pool, database: uri.database, name: "mongo-\(state.made)", niceness: niceness),
          0
        )
      }
      state.nextWaiter += 1
      return (nil, state.nextWaiter)
    }
    if let connection { return connection }
    let timer = Task {
      try await Task.sleep(for: waitMax)
      self.giveUp(id)
    }
    defer { timer.cancel() }
    let late = await withCheckedContinuation {
      (continuation: CheckedContinuation<MongoConnection?, Never>) in
      let free: MongoConnection? = state.withLock { state in
        if let connection = state.idle.popLast() { return connection }
        state.waiting.append(Waiter(id: id, continuation: continuation))
        return nil
      }
      if let free { continuation.resume(returning: free) }
    }
    guard let late else {
      throw MongoError(
        domain: .notSent, code: 0, operation: "take a connection",
        message: "all \(connectionsMax) are busy")
    }
    return late
  }

  func giveBack(_ connection: MongoConnection) {
    let waiter: Waiter? = state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.idle.append(connection)
        return nil
      }
      return state.waiting.removeFirst()
    }
    waiter?.continuation.resume(returning: connection)
  }

  private func giveUp(_ id: Int) {
    let waiter: Waiter? = state.withLock { state in
      guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
      return state.waiting.remove(at: index)
    }
    waiter?.continuation.resume(returning: nil)
  }
}

/// Documents of a query, fetched and decoded batch by batch on a connection's own thread.
public struct MongoCursor<Element: Sendable>: AsyncSequence, Sendable {
  public typealias Failure = any Error

  fileprivate let database: MongoDatabase
  fileprivate let filter: BSONDocument
  fileprivate let collection: String
  fileprivate let options: BSONDocument
  fileprivate let batch: Int
  fileprivate let decode: @Sendable (BSONView) throws -> Element

  init(
    database: MongoDatabase, filter: BSONDocument, collection: String, options: BSONDocument,
    batch: Int, decode: @escaping @Sendable (BSONView) throws -> Element
  ) {
    self.database = database
    self.filter = filter
    self.collection = collection
    self.options = options
    self.batch = batch
    self.decode = decode
  }

  public func makeAsyncIterator() -> Iterator { Iterator(cursor: self) }

  public final class Iterator: AsyncIteratorProtocol {
    private let cursor: MongoCursor
    private var connection: MongoConnection?
    private var buffer: ArraySlice<Element> = []
    private var isAtEnd = false

    fileprivate init(cursor: MongoCursor) { self.cursor = cursor }

    deinit { release() }

    public func next() async throws -> Element? {
      if let element = buffer.popFirst() { return element }
      guard !isAtEnd else { return nil }
      do {
        buffer = try await fetch()[...]
      } catch {
        release()
        isAtEnd = true
        throw error
      }
      if buffer.count < cursor.batch {
        isAtEnd = true
        release()
      }
      return buffer.popFirst()
    }

    private func fetch() async throws -> [Element] {
      let cursor = cursor
      if let connection {
        return try await connection.run {
          try $0.nextElements(limit: cursor.batch, decode: cursor.decode)
        }
      }
      let connection = try await cursor.database.lease()
      self.connection = connection
      return try await connection.run {
        try $0.startCursor(cursor.filter, in: cursor.collection, options: cursor.options)
        return try $0.nextElements(limit: cursor.batch, decode: cursor.decode)
      }
    }

    private func release() {
      guard let connection else { return }
      self.connection = nil
      let database = cursor.database
      Task {
        await connection.closeCursor()
        database.giveBack(connection)
      }
    }
  }
}
