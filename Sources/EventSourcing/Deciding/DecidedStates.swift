/// The state of one aggregate as the next decision sees it.
@usableFromInline
struct DecidedState<D: Decider>: Sendable {
  @usableFromInline var state: D.State
  @usableFromInline var version: Version
  /// The last queued append that the state contains; nil when all of it is durable.
  @usableFromInline var pending: AppendTicket?
  /// An earlier state that is durable, to start from when the later one turns out to be wrong.
  @usableFromInline var durable: (state: D.State, version: Version)
  /// The version up to which the log was read; what lies behind was appended by this process.
  @usableFromInline var readTo: Version
  /// The stream has to be read on from `durable`.
  @usableFromInline var isDoubtful = false

  @inlinable
  init(state: D.State, version: Version) {
    self.state = state
    self.version = version
    durable = (state, version)
    readTo = version
  }

  /// What the state is built on and is not known to be durable.
  @inlinable var waitsFor: [AppendTicket] { pending.map { [$0] } ?? [] }

  /// Takes note that everything in it is durable, once it is.
  @inlinable
  mutating func settle() {
    guard let pending, pending.settled?.isFirst == true else { return }
    self.pending = nil
    durable = (state, version)
  }

  /// Adds events whose append is queued.
  @inlinable
  mutating func append(_ events: [D.Event], _ ticket: AppendTicket) {
    for event in events { D.evolve(&state, event) }
    version = version + events.count
    pending = ticket
  }
}

/// The states that a command handler keeps, the streams that are being read, and which of both
/// are in doubt.
@usableFromInline
struct DecidedStates<D: Decider>: Sendable {
  @usableFromInline var entries: RecencyCache<StreamName, DecidedState<D>>
  /// Streams that are being read, each by one reader for all who need it.
  @usableFromInline var reading: [StreamName: Task<Void, any Error>] = [:]
  /// Streams that were doubted while they were being read: what was read may be too old.
  @usableFromInline var doubted: Set<StreamName> = []

  @inlinable
  init(capacity: Int) { entries = RecencyCache(capacity: capacity) }

  /// Nil when the stream has to be read first.
  @inlinable subscript(stream: StreamName) -> DecidedState<D>? {
    mutating get {
      guard var entry = entries[stream], !entry.isDoubtful else { return nil }
      entry.settle()
      return entry
    }
    set { entries[stream] = newValue }
  }

  /// The same; a stream that is expected not to exist need not be read, unless that is in doubt.
  @inlinable
  mutating func entry(of stream: StreamName, expected: ExpectedVersion) -> DecidedState<D>? {
    if var entry = entries[stream] {
      if entry.isDoubtful { return nil }
      entry.settle()
      return entry
    }
    return expected == .noStream ? DecidedState(state: D.initial, version: .none) : nil
  }

  @inlinable
  mutating func doubt(_ stream: StreamName) {
    if reading[stream] != nil { doubted.insert(stream) }
    // Also a stream that was only taken for new: what is in doubt is read.
    var entry = entries[stream] ?? DecidedState(state: D.initial, version: .none)
    entry.settle()
    entry.isDoubtful = true
    entries[stream] = entry
  }

  /// The reader of a stream; `start` starts one from the last durable state when there is none.
  @inlinable
  mutating func reading(
    of stream: StreamName,
    start: ((state: D.State, version: Version)?) -> Task<Void, any Error>
  ) -> Task<Void, any Error> {
    if let task = reading[stream] { return task }
    doubted.remove(stream)
    let task = start(entries[stream]?.durable)
    reading[stream] = task
    return task
  }

  @inlinable
  mutating func endReading(of stream: StreamName) { reading[stream] = nil }

  /// Takes what was read.
  @inlinable
  mutating func take(_ entry: DecidedState<D>, of stream: StreamName) {
    if doubted.remove(stream) != nil {
      // Durable all the same: the next reader goes on from here.
      var doubtful = entry
      doubtful.isDoubtful = true
      entries[stream] = doubtful
    } else if let present = self[stream], present.version >= entry.version {
      return
    } else {
      entries[stream] = entry
    }
  }
}
