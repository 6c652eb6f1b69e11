import EventSourcing
import Mongo

/// Whose turn it is among several processes that append to one log.
///
/// A process that has just got through is always the first to know where the log ends, so under
/// full load it would win every race. Who loses several puts its name into a line; who has had its
/// turn and sees a name there stops and says whose turn it is. The line decides nothing but fairness:
/// whoever writes needs no permission, and a name that is lost costs nothing but time.
struct AppenderTurns {
  /// How long a process appends while others are waiting, for each of its appends that has no
  /// outcome yet: one with few of them gives way sooner.
  private static let lengthPerAppend: Duration = .microseconds(300)
  private static let lengthMin: Duration = .milliseconds(10)
  private static let lengthMax: Duration = .milliseconds(300)
  private static let listeningInterval: Duration = .milliseconds(20)
  /// The same when for a while nobody else has written.
  private static let listeningIntervalAlone: Duration = .milliseconds(100)
  private static let companyMax: Duration = .seconds(5)
  /// Fewer races in a row are lost by chance.
  private static let lossesMax = 3

  private var start: ContinuousClock.Instant?
  private var lastListened = ContinuousClock.now
  private(set) var areOthersWaiting = false
  /// Another process has given the turn, and waits for its end.
  private(set) var isGiven = false
  /// Races lost since the last one that was won.
  private var losses = 0
  /// When another process was noticed the last time.
  private var metAt: ContinuousClock.Instant?

  /// Something is sent.
  mutating func begin() {
    if start == nil { start = .now }
  }

  /// Another process says that it is this one's turn.
  mutating func take() {
    start = nil
    isGiven = true
    areOthersWaiting = true
    losses = 0
    metAt = .now
  }

  /// It is somebody else's turn.
  mutating func end() {
    start = nil
    areOthersWaiting = false
    isGiven = false
  }

  mutating func noteWin() { losses = 0 }

  mutating func noteLoss() {
    losses += 1
    metAt = .now
    end()
  }

  var mustWait: Bool { losses > Self.lossesMax }

  func isOver(outstanding: Int) -> Bool {
    guard areOthersWaiting, let start else { return false }
    let length = min(Self.lengthMax, max(Self.lengthMin, Self.lengthPerAppend * outstanding))
    return .now - start >= length
  }

  mutating func isTimeToListen() -> Bool {
    let isAlone = metAt.map { .now - $0 > Self.companyMax } ?? true
    let interval = isAlone ? Self.listeningIntervalAlone : Self.listeningInterval
    guard .now - lastListened >= interval else { return false }
    lastListened = .now
    return true
  }

  mutating func hear(_ line: AppenderLine, as name: String) {
    areOthersWaiting = start != nil && line.waiting.contains { $0 != name }
    if areOthersWaiting { metAt = .now }
  }
}

/// What the processes tell each other: one document.
struct AppenderLine: Sendable {
  /// Who waits for a turn, the longest first.
  var waiting: [String]
  /// Whose turn it is, and behind which position.
  var granted: String?
  var after: Position

  init(_ view: BSONView) throws {
    waiting = try view["waiting"]?.array?.elements().compactMap(\.string) ?? []
    granted = view["granted"]?.string
    after = Position(view["after"]?.integer ?? 0)
  }
}

extension LogWriter {
  private static let collection = "appenders"
  private static let line = BSONDocument { $0.append("_id", "line") }
  /// A log that has not grown for so long is free: whoever has the turn may have ended.
  private static let silenceMax: Duration = .milliseconds(100)
  /// Longer than a turn: nobody has it when nobody has passed it on for so long.
  private static let turnMax: Duration = .milliseconds(500)
  /// How long a process waits, at most, for its own turn.
  private static let waitingMax: Duration = .seconds(4)
  private static let lookInterval: Duration = .milliseconds(5)
  /// A turn that is not used for so long is passed on.
  private static let idleMax: Duration = .milliseconds(10)

  private func readLine() async throws -> AppenderLine? {
    try await lookups.find(
      Self.line, in: Self.collection, options: LogCollection.options(limit: 1),
      decode: AppenderLine.init
    ).first
  }

  /// False when it may not have been written.
  @discardableResult
  private func changeLine(_ changes: [BSONDocument]) async -> Bool {
    let reply = try? await lookups.write(
      changes.map { .update(filter: Self.line, with: $0, upsert: true) }, to: Self.collection,
      ordered: true)
    return reply?.isClean == true
  }

  /// Looks whether others are waiting.
  func listen() async {
    guard let line = try? await readLine() else { return }
    turns.hear(line, as: name)
    guard turns.areOthersWaiting, isIdle, let end = head?.end.position else { return }
    turns.end()
    _ = await passTurn(behind: end, andJoin: false)
  }

  private var joining: BSONDocument {
    let name = name
    return BSONDocument { $0.appendDocument("$addToSet") { $0.append("waiting", name) } }
  }

  /// Takes its name out of the line.
  func leaveLine() async {
    let name = name
    await changeLine([
      BSONDocument { $0.appendDocument("$pull") { $0.append("waiting", name) } }
    ])
  }

  /// Gets in line when too many races were lost, and waits for a turn.
  func waitForTurn() async throws {
    turns.noteLoss()
    guard turns.mustWait else { return }
    await changeLine([joining])
    try await waitInLine()
  }

  /// Says whose turn it is once the log ends at `position`; gets in line behind the others, if
  /// `andJoin`. False when nobody waits, or it cannot be said.
  func passTurn(behind position: Position, andJoin: Bool) async -> Bool {
    let own = name
    guard let line = try? await readLine(),
      let granted = line.waiting.first(where: { $0 != own })
    else { return false }
    let passing = BSONDocument { writer in
      writer.appendDocument("$set") { writer in
        writer.append("granted", granted)
        writer.append("after", position)
      }
      writer.appendDocument("$pull") { writer in
        writer.appendDocument("waiting") { writer in
          writer.appendArray("$in") { array in
            array.append(own)
            array.append(granted)
          }
        }
      }
    }
    return await changeLine(andJoin ? [passing, joining] : [passing])
  }

  /// Passes a turn on that somebody gave and that is not used any more.
  private func watchTurn() {
    Task {
      while turns.isGiven {
        let before = head?.end.position
        try? await Task.sleep(for: Self.idleMax)
        guard turns.isGiven, isIdle, head?.end.position == before else { continue }
        turns.end()
        // Without an end there was an error: the others find out that nobody has the turn.
        if let before { _ = await passTurn(behind: before, andJoin: false) }
      }
    }
  }

  /// Waits for a turn: a bounded time, and not when the log does not grow or nobody has the turn.
  func waitInLine() async throws {
    let deadline = ContinuousClock.now + Self.waitingMax
    guard let start = head?.end.position else { return }
    var end = start
    var line: AppenderLine?
    var (grownAt, passedAt) = (ContinuousClock.now, ContinuousClock.now)
    var looks = 0
    let own = name
    func isGiven(_ line: AppenderLine?) -> Bool {
      line.map { $0.granted == own && $0.after >= start } ?? false
    }
    while .now < deadline, .now - grownAt < Self.silenceMax, .now - passedAt < Self.turnMax {
      try await Task.sleep(for: Self.lookInterval)
      if !isGiven(line), let now = try await readLine() {
        if now.granted != line?.granted || now.after != line?.after { passedAt = .now }
        line = now
      }
      looks += 1
      guard isGiven(line) || looks.isMultiple(of: 4), let last = try await lookups.lastCommit()
      else { continue }
      if last.last > end {
        end = last.last
        grownAt = .now
      }
      if let line, isGiven(line), end >= line.after {
        try await follow(to: last)
        turns.take()
        return watchTurn()
      }
    }
    await leaveLine()
    if let last = try await lookups.lastCommit() { try await follow(to: last) }
  }
}
