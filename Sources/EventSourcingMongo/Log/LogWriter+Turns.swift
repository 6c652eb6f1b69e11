import EventSourcing
import Mongo

/// Whose turn it is among several processes that append to one log.
///
/// A process that has just got through is always the first to know where the log ends, so under
/// full load it would win every race. Who loses one knocks; who has had its turn and hears a knock
/// waits until somebody else has got through. Knocks decide nothing but fairness: whoever writes
/// needs no permission, and a knock that is lost costs nothing but time.
struct AppenderTurns {
  /// How long a process appends without a pause while others are waiting.
  private static let turnMin: Duration = .milliseconds(100)
  private static let listeningInterval: Duration = .milliseconds(25)
  private static let knockingInterval: Duration = .milliseconds(10)

  private var start: ContinuousClock.Instant?
  private var lastListened = ContinuousClock.now
  private var lastKnocked = ContinuousClock.now
  private var knocks: Int64 = 0
  private(set) var areOthersWaiting = false

  /// Something is sent.
  mutating func begin() {
    if start == nil { start = .now }
  }

  /// Nothing is left to send, or somebody else has got through.
  mutating func end() {
    start = nil
    areOthersWaiting = false
  }

  var areOver: Bool {
    guard areOthersWaiting, let start else { return false }
    return .now - start >= Self.turnMin
  }

  var isTimeToListen: Bool { .now - lastListened >= Self.listeningInterval }

  mutating func noteListened() { lastListened = .now }

  mutating func hear(_ count: Int64, byOthers: Bool) {
    if count != knocks, byOthers, start != nil { areOthersWaiting = true }
    knocks = count
  }

  mutating func mayKnock() -> Bool {
    guard .now - lastKnocked >= Self.knockingInterval else { return false }
    lastKnocked = .now
    return true
  }
}

extension LogWriter {
  private static let collection = "appenders"
  private static let knocks = BSONDocument { $0.append("_id", "knocks") }
  /// How long a process waits, at most, for another one to take its turn.
  private static let yieldingMax: Duration = .milliseconds(60)

  /// Tells the process that got through that somebody else is waiting.
  func knock() async {
    turns.end()
    guard turns.mayKnock() else { return }
    let update = BSONDocument { writer in
      writer.appendDocument("$inc") { $0.append("count", Int64(1)) }
      writer.appendDocument("$set") { $0.append("by", name) }
    }
    _ = try? await lookups.write(
      [.update(filter: Self.knocks, with: update, upsert: true)], to: Self.collection)
  }

  /// Hears whether somebody has knocked.
  func listen() async {
    turns.noteListened()
    let found = try? await lookups.find(
      Self.knocks, in: Self.collection, options: LogCollection.options(limit: 1)
    ) { view in (count: view["count"]?.integer ?? 0, by: view["by"]?.string) }
    guard let last = found?.first else { return }
    turns.hear(last.count, byOthers: last.by != name)
  }

  /// Sends nothing until somebody else has got through, or nobody has for a while.
  func letOthersIn() async {
    guard let end = head?.end else { return }
    let deadline = ContinuousClock.now + Self.yieldingMax
    turns.end()
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
      try? await Task.sleep(for: .milliseconds(2))
    }
  }
}
