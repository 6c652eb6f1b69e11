import EventSourcing
import Foundation
import Logging
import Mongo
import Synchronization

/// The batching appender: takes what is queued, numbers and chains it, and sends it as ordered
/// inserts. One batch is in flight; the next one is numbered, chained and encoded meanwhile, on
/// the assumption that the one in flight gets through.
///
/// Position order is commit order without a lease: `head + 1` is only written by one who saw the
/// log end at `head`, and the unique `_id` lets one of several racing processes have it. Ordered
/// inserts stop at the first error, so a batch never leaves a hole.
///
/// This file is the way of an append that meets nothing unusual. Whatever else happens (an error,
/// a conflict, a command that was done before) waits until nothing is in flight and is then looked
/// into step by step: `LogWriter+Settling.swift`.
actor LogWriter {
  /// Commits that are numbered before the writer looks whether a reply has come.
  private static let sliceMax = 32
  /// Commits of background work in a batch, at most: a request that comes next does not wait for
  /// long.
  private static let backgroundBatchMax = 256
  /// In a crowd of background work a batch begins so long after the last one: what one costs hardly
  /// depends on how much is in it.
  private static let pace: Duration = .milliseconds(5)

  private let executor = ThreadExecutor(name: "appender")
  /// Tells this process from others.
  let name = UUID().uuidString
  nonisolated let queue: AppendQueue
  /// The last position that was sent: up to here whoever waits for the log is told by this writer,
  /// once it is known to be durable. Zero while that is being looked into.
  nonisolated let sent = Atomic<Int64>(0)
  let connection: MongoConnection
  /// For looking things up while a batch is in flight.
  let lookups: MongoConnection
  /// Both are told what is durable, in order.
  let recent: RecentCommits
  let doorbell: Doorbell
  let logger: Logger

  var head: LogHead?
  /// Marks what stands or falls together: raised whenever something numbered is taken back.
  var series = 0
  var turns = AppenderTurns()
  private var backlog = SubmissionLine()
  /// Appends of background work that have arrived: they join a batch that is about to be sent.
  private var background = SubmissionLine()
  var next: Batch?
  var inFlight: Batch?
  /// The tickets of riders.
  private var aside: Set<ObjectIdentifier> = []
  /// The first of the backlog needs more than a number.
  private var isStalled = false
  /// When the last batch was sent, and whether the next one waits until it may be.
  private var launched = ContinuousClock.now
  private var isPaced = false
  /// Stream heads are being looked up for the first of the backlog.
  private(set) var isLearning = false
  /// Commands that were sent and may have been done, though nobody has seen them.
  var doubted: Set<CommandID> = []
  /// Whether some of them may still appear: nothing of this process got in since they were sent.
  var mayDoubtedAppear = false
  /// The unusual is being looked into; nothing else moves.
  var isSettling = false
  /// It is about to be somebody else's turn: nothing is numbered, and nothing sent but what is in
  /// flight. True in the end when somebody wants it.
  private(set) var yielding: Task<Bool, Never>?
  /// What is in flight or being looked into.
  var watched: Watch?
  /// The riders that are being looked up, in several look-ups.
  var lookUps: [Int: Watch] = [:]
  var lookUpCount = 0
  var isWatching = false
  /// The tickets of those that are not waited for any more.
  var abandoned: Set<ObjectIdentifier> = []

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  init(
    connection: MongoConnection, lookups: MongoConnection, queue: AppendQueue,
    recent: RecentCommits, doorbell: Doorbell, logger: Logger
  ) {
    self.connection = connection
    self.lookups = lookups
    self.queue = queue
    self.logger = logger
    self.recent = recent
    self.doorbell = doorbell
  }

  /// Tells the writer that something has arrived in the queue.
  nonisolated func wake() {
    executor.call { self.assumeIsolated { $0.advance() } }
  }

  /// Does whatever can be done now. Called after everything that happens.
  private func advance() {
    guard !isSettling else { return }
    fill()
    if inFlight == nil, yielding == nil {
      launch()
      if inFlight == nil, isStalled, !isPaced {
        settleStalled()
        return
      }
    }
    rest()
  }

  /// While a batch is in flight the writer is not woken for a few.
  private var arrivalsMin: Int { inFlight.map { max(16, $0.commits.count / 3) } ?? 1 }

  /// What was never sent.
  func takeWaiting() -> [Submission] {
    takeArrivals()
    let waiting = Array(backlog.all + background.all)
    backlog.removeAll()
    background.removeAll()
    return waiting
  }

  /// The first of what has not been numbered yet.
  func takeBacklog() -> [Submission] {
    let first = Array(backlog.all.prefix(Batch.commitsMax))
    backlog.removeFirst(first.count)
    return first
  }

  private func takeArrivals() {
    let arrived = queue.take()
    backlog.add(arrived.requests)
    background.add(arrived.background)
  }

  /// Lets background work join the requests of the next batch: little in a flood of requests, never
  /// nothing.
  private func admitBackground() {
    takeArrivals()
    if background.isEmpty { return }
    let requests = (next?.commits.count ?? 0) + backlog.count
    let isFlood = requests > 0 && queue.isUnder(.flood)
    let share = isFlood ? max(4, requests / 8) : Self.backgroundBatchMax
    let admitted = background.all.prefix(share)
    backlog.add(admitted)
    background.removeFirst(admitted.count)
  }

  /// Numbers what is queued, up to a full batch or a slice.
  private func fill() {
    if yielding != nil { return }
    var room = Self.sliceMax
    while room > 0, !isStalled, !isLearning, next?.isFull != true {
      if backlog.isEmpty { takeArrivals() }
      guard let submission = backlog.first else { return }
      guard let end = head?.end else {
        isStalled = true
        return
      }
      let id = submission.commit.context.commandID
      if inFlight?.commands.contains(id) == true || next?.commands.contains(id) == true {
        setAside(submission, conflict: nil)
        continue
      }
      switch head?.take(submission.commit, series: series) {
      case .taken(let document):
        if next == nil { next = Batch(before: end) }
        submission.ticket.number(inSeries: series)
        next?.append(submission, document)
        backlog.removeFirst()
        room -= 1
      case .refuse(let conflict): setAside(submission, conflict: conflict)
      case .lookUp: learn()
      case .wait where submission.commit.builtOn.contains(where: isAside):
        setAside(submission, conflict: .onFailedAppend(submission.commit))
      case .wait, .invalid, nil: isStalled = true
      }
    }
  }

  /// Lets the first of the backlog wait for the outcome of what is numbered before it.
  private func setAside(_ submission: Submission, conflict: AppendConflict?) {
    backlog.removeFirst()
    aside.insert(ObjectIdentifier(submission.ticket))
    let rider = Rider(submission: submission, conflict: conflict)
    if next != nil {
      next?.riders.append(rider)
    } else if inFlight != nil {
      inFlight?.riders.append(rider)
    } else {
      answer([rider])
    }
  }

  private func isAside(_ ticket: AppendTicket) -> Bool { aside.contains(ObjectIdentifier(ticket)) }

  /// Answers appends that met something durable, while others go on.
  private func answer(_ riders: [Rider]) {
    if riders.isEmpty { return }
    let lookUp = watchLookUp(of: riders)
    Task {
      let again = await settle(riders)
      endLookUp(lookUp)
      for rider in riders { aside.remove(ObjectIdentifier(rider.submission.ticket)) }
      release(again.lazy.filter(isAbandoned))
      backlog.putBack(again.filter { $0.ticket.settled == nil })
      advance()
    }
  }

  private func launch() {
    if !isStalled, !isLearning {
      admitBackground()
      fill()
    }
    guard let batch = next, !isPaced, !pausesBefore(batch) else { return }
    next = nil
    inFlight = batch
    launched = .now
    if let last = batch.commits.last?.document.commit.header.lastPosition {
      sent.store(last.rawValue, ordering: .relaxed)
    }
    turns.begin()
    watch(batch.submissions)
    Task.immediate { await send(batch) }
    if turns.isOver(outstanding: queue.outstanding),
      let last = batch.commits.last?.document.commit.header.lastPosition
    {
      turns.end()
      yielding = Task { await passTurn(behind: last, andJoin: true) }
    } else if turns.isTimeToListen() {
      Task { await listen() }
    }
  }

  /// Whether a batch waits for what else comes, for a moment.
  private func pausesBefore(_ batch: Batch) -> Bool {
    guard !isStalled, !batch.isFull, queue.isCrowded else { return false }
    let rest = Self.pace - (.now - launched)
    guard rest > .zero else { return false }
    isPaced = true
    Task {
      try? await Task.sleep(for: rest)
      isPaced = false
      advance()
    }
    return true
  }

  private func send(_ batch: Batch) async {
    let result: Result<WriteReply, any Error>
    do {
      result = .success(try await insert(batch))
    } catch {
      result = .failure(error)
    }
    let riders = inFlight?.riders ?? []
    inFlight = nil
    guard case .success(let reply) = result, reply.isClean else {
      stopYielding()
      await takeUp(batch, result, riders)
      return
    }
    noteWin()
    // What waits for the disk comes first, who waits for an answer second.
    if yielding == nil { launch() }
    settle(batch.commits[...])
    answer(riders)
    if let passed = yielding, inFlight == nil {
      watch([])
      if await passed.value {
        do { try await waitInLine() } catch { head = nil }
      }
      yielding = nil
    }
    advance()
  }

  /// The last batch of a turn did not simply get through: this process has to see to that first.
  private func stopYielding() {
    guard let passed = yielding else { return }
    yielding = nil
    Task { if await passed.value { await leaveLine() } }
  }

  private func rest() {
    if yielding != nil || isStalled || isLearning || isPaced || next?.isFull == true { return }
    if inFlight == nil, !background.isEmpty { return wake() }
    if !backlog.isEmpty || !queue.sleep(until: arrivalsMin) { wake() }
  }

  var isIdle: Bool {
    !isSettling && inFlight == nil && next == nil && backlog.isEmpty && background.isEmpty
  }

  /// Looks up the streams that the next ones of the backlog name and this process has not met.
  private func learn() {
    isLearning = true
    if inFlight == nil { watch([]) }
    let submissions = Self.round(backlog.all.prefix(Batch.commitsMax))
    Task {
      do {
        try await learnHeads(for: submissions)
      } catch {
        isStalled = true
      }
      isLearning = false
      advance()
    }
  }

  /// Looks into the first of the backlog and what follows it, with nothing in flight.
  private func settleStalled() {
    isStalled = false
    isSettling = true
    if backlog.isEmpty { takeArrivals() }
    let open = takeBacklog()
    next = nil
    watch(open)
    Task {
      await workOff(open)
      isSettling = false
      advance()
    }
  }

  /// Looks into a batch that did not simply get through, and into the one that was built on it.
  private func takeUp(
    _ batch: Batch, _ result: Result<WriteReply, any Error>, _ riders: [Rider]
  ) async {
    isSettling = true
    sent.store(0, ordering: .relaxed)
    series += 1
    let following = next
    next = nil
    if let last = batch.commits.last?.document {
      head?.takeBack(
        (following?.commits ?? []).lazy.map(\.document),
        to: LogHead.End(position: last.commit.header.lastPosition, hash: last.hash))
    }
    var open = batch.commits.map(\.submission)
    let waiting = riders.map(\.submission)
    let behind = following?.submissions ?? []
    watchAlso(waiting + behind)
    var failure: (any Error)?
    do {
      open = try await conclude(result, of: batch)
    } catch {
      failure = error
    }
    for submission in waiting + behind { aside.remove(ObjectIdentifier(submission.ticket)) }
    await workOff(open + waiting + behind, after: failure)
    isSettling = false
    advance()
  }

  func insert(_ batch: Batch) async throws -> WriteReply {
    try await connection.insertMany(
      batch.commits.map(\.document.document), into: LogCollection.name)
  }

  func settle(_ commits: ArraySlice<(submission: Submission, document: CommitDocument)>) {
    guard let last = commits.last?.document.commit.header.lastPosition else { return }
    // First: whoever is told that something is appended finds it, here as in the database.
    recent.add(commits.map { ($0.document.commit, $0.submission.size) })
    for (submission, document) in commits {
      submission.ticket.settle(.success(Appended(commit: document.commit, isRepeated: false)))
    }
    release(commits.lazy.map(\.submission))
    doorbell.ring(last)
  }
}
