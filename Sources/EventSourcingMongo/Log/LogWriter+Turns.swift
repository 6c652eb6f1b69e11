import EventSourcing
import Mongo

/// Whose turn it is among several processes that append to one log.
///
/// A process that has just got through is always the first to know where the log ends, so under
/// full load it would win every race. Who loses one puts its name into a line; who has had its turn
/// and sees a name there stops and says whose turn it is. The line decides nothing but fairness:
/// whoever writes needs no permission, and a name that is lost costs nothing but time.
struct AppenderTurns {
  /// How long a process appends without a pause while others are waiting.
  private static let turnMin: Duration = .milliseconds(400)
  private static let listeningInterval: Duration = .milliseconds(100)

  private var start: ContinuousClock.Instant?
  private var lastListened = ContinuousClock.now
  private var areOthersWaiting = false
  /// Another process has given the turn, and waits for its end.
  private(set) var isGiven = false
  /// Races lost since the last one that was won.
  private var losses = 0

  /// Something is sent.
  mutating func begin() {
    if start == nil { start = .now }
  }

  /// Another process says that it is this one's turn.
  mutating func take() { isGiven = true }

  /// Nothing is left to send. A turn that was given goes on for a moment.
  mutating func pause() {
    if !isGiven { end() }
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
    end()
  }

  /// Not when only one race was lost, which happens to those who append little.
  var mustWait: Bool { losses > 1 }

  var areOver: Bool {
    guard areOthersWaiting, let start else { return false }
    return .now - start >= Self.turnMin
  }

  mutating func isTimeToListen() -> Bool {
    guard .now - lastListened >= Self.listeningInterval else { return false }
    lastListened = .now
    return true
  }

  mutating func hear(_ line: AppenderLine, as name: String) {
    areOthersWaiting = start != nil && line.waiting.contains { $0 != name }
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
  /// How long a process waits, at most, for its own turn.
  private static let waitingMax: Duration = .seconds(2)
  private static let lookInterval: Duration = .milliseconds(5)
  /// A turn that is not used for so long is passed on.
  private static let idleMax: Duration = .milliseconds(10)

  private func readLine() async throws -> AppenderLine? {
    try await lookups.find(
      Self.line, in: Self.collection, options: LogCollection.options(limit: 1),
      decode: AppenderLine.init
    ).first
  }

  private func changeLine(_ changes: [BSONDocument]) async {
    _ = try? await lookups.write(
      changes.map { .update(filter: Self.line, with: $0, upsert: true) }, to: Self.collection,
      ordered: true)
  }

  /// Looks whether others are waiting.
  func listen() async {
    guard let line = try? await readLine() else { return }
    turns.hear(line, as: name)
  }

  private var joining: BSONDocument {
    let name = name
    return BSONDocument { $0.appendDocument("$addToSet") { $0.append("waiting", name) } }
  }

  /// Gets in line after a race that was lost, and waits for a turn.
  func waitForTurn() async throws {
    turns.noteLoss()
    guard turns.mustWait else { return }
    await changeLine([joining])
    try await stayInLine()
  }

  /// Says whose turn it is once the log ends at `position`; gets in line behind the others, if
  /// `andJoin`. False when nobody waits.
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
    await changeLine(andJoin ? [passing, joining] : [passing])
    return true
  }

  /// Passes a turn on that somebody gave and that is not used any more.
  private func watchTurn() {
    Task {
      while turns.isGiven {
        let before = head?.end.position
        try? await Task.sleep(for: Self.idleMax)
        guard turns.isGiven, isIdle, let end = head?.end.position, end == before else { continue }
        turns.end()
        _ = await passTurn(behind: end, andJoin: false)
      }
    }
  }

  /// Waits for a turn: a bounded time, and not when the log does not grow.
  func stayInLine() async throws {
    let deadline = ContinuousClock.now + Self.waitingMax
    guard let start = head?.end.position else { return }
    var end = start
    var grownAt = ContinuousClock.now
    var looks = 0
    var given: Position?
    while .now < deadline, .now - grownAt < Self.silenceMax {
      try await Task.sleep(for: Self.lookInterval)
      if given == nil, let line = try await readLine(), line.granted == name, line.after >= start {
        given = line.after
      }
      looks += 1
      guard given != nil || looks.isMultiple(of: 4), let last = try await lookups.lastCommit(),
        last.last > end || given.map({ last.last >= $0 }) == true
      else { continue }
      end = last.last
      grownAt = .now
      if let given, end >= given {
        try await follow(to: last)
        turns.take()
        return watchTurn()
      }
    }
    if let last = try await lookups.lastCommit() { try await follow(to: last) }
  }
}
