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
  /// Races lost since the last one that was won.
  private var losses = 0

  /// Something is sent.
  mutating func begin() {
    if start == nil { start = .now }
  }

  /// Nothing is left to send, or somebody else has got through.
  mutating func end() {
    start = nil
    areOthersWaiting = false
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
  /// How long a process waits, at most, for another one to take its turn.
  private static let yieldingMax: Duration = .milliseconds(60)
  /// How long a process waits, at most, for its own turn.
  private static let waitingMax: Duration = .seconds(2)
  private static let lookInterval: Duration = .milliseconds(5)

  private func readLine() async throws -> AppenderLine? {
    try await lookups.find(
      Self.line, in: Self.collection, options: LogCollection.options(limit: 1),
      decode: AppenderLine.init
    ).first
  }

  private func changeLine(_ build: @Sendable (inout BSONWriter) -> Void) async {
    _ = try? await lookups.write(
      [.update(filter: Self.line, with: BSONDocument(build), upsert: true)], to: Self.collection)
  }

  /// Looks whether others are waiting.
  func listen() async {
    guard let line = try? await readLine() else { return }
    turns.hear(line, as: name)
  }

  /// Gets in line after a race that was lost, and waits for a turn, following the log meanwhile.
  /// Waits a bounded time: who has the turn may have ended.
  func waitForTurn() async throws {
    turns.noteLoss()
    guard turns.mustWait else { return }
    let name = name
    await changeLine { $0.appendDocument("$addToSet") { $0.append("waiting", name) } }
    let deadline = ContinuousClock.now + Self.waitingMax
    var movedAt = ContinuousClock.now
    var looks = 0
    while .now < deadline, .now - movedAt < Self.yieldingMax {
      try await Task.sleep(for: Self.lookInterval)
      guard let end = head?.end else { return }
      let line = try await readLine()
      let isMine = line?.granted == name && (line?.after ?? .start) >= end.position
      looks += 1
      guard isMine || looks.isMultiple(of: 4) else { continue }
      let tail = try await lookups.outlines(
        after: end.position, limit: Self.tailMax, linearizable: false)
      if !tail.isEmpty {
        movedAt = .now
        try follow(tail)
      }
      if isMine { return }
    }
  }

  /// Says whose turn it is, and sends nothing until somebody else has got through, or nobody has
  /// for a while.
  func letOthersIn() async {
    turns.end()
    guard let end = head?.end, let line = try? await readLine(),
      let next = line.waiting.first(where: { $0 != name })
    else { return }
    let (own, granted) = (name, next)
    await changeLine { writer in
      writer.appendDocument("$set") { writer in
        writer.append("granted", granted)
        writer.append("after", end.position)
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
    let deadline = ContinuousClock.now + Self.yieldingMax
    while .now < deadline {
      guard
        let tail = try? await lookups.outlines(
          after: end.position, limit: Self.tailMax, linearizable: false)
      else { return }
      if !tail.isEmpty {
        takeBackNext()
        do { try follow(tail) } catch { head = nil }
        return
      }
      try? await Task.sleep(for: Self.lookInterval)
    }
  }
}
