import Synchronization

/// Whether more may be asked for while there is more to begin than can be begun.
///
/// A burst is taken, however large, and worked off afterwards. When it does not end, so much is
/// refused that what is taken is begun within a moment: work that waits long costs more than work
/// that does not, and who is refused may come again.
public final class Admission: Sendable {
  /// What is taken is to be begun within this time, in milliseconds.
  private static let waitMax: Double = 250
  /// For so long it may take longer, in milliseconds.
  private static let burstMax: Int64 = 15_000
  /// Between two looks at the rate, and over which it is reckoned, in milliseconds.
  fileprivate static let sampleMin: Int64 = 250
  fileprivate static let sampleMax: Int64 = 2_000
  fileprivate static let rateMemory: Double = 2_000

  fileprivate struct State {
    var sampled: (at: Timestamp, begun: Int, waiting: Int)?
    /// How many can begin in a millisecond, as far as that was seen.
    var rate: Double?
    /// Since when there is too much.
    var crowdedSince: Timestamp?
    /// When the last one was refused.
    var refusedAt: Timestamp?
  }

  private let state = Mutex(State())

  public init() {}

  /// - Parameters:
  ///   - begun: how many have begun, ever; fewer than before after a new start.
  ///   - waiting: how many wait for their beginning.
  public func refuses(begun: Int, waiting: Int, at now: Timestamp = .now) -> Bool {
    state.withLock { state in
      state.sample(begun, waiting, at: now)
      guard let rate = state.rate, waiting > 0, Double(waiting) > rate * Self.waitMax else {
        state.crowdedSince = nil
        return false
      }
      let since = state.crowdedSince ?? now
      state.crowdedSince = since
      // One that has just ended and comes again is the same burst.
      let isLong = now - since >= Self.burstMax
      guard isLong || state.refusedAt.map({ now - $0 < Self.burstMax }) ?? false else {
        return false
      }
      state.refusedAt = now
      return true
    }
  }
}

extension Admission.State {
  fileprivate mutating func sample(_ begun: Int, _ waiting: Int, at now: Timestamp) {
    let last = sampled
    let time = last.map { now - $0.at } ?? 0
    if last != nil, time < Admission.sampleMin { return }
    sampled = (now, begun, waiting)
    guard let last, begun >= last.begun else {
      rate = nil
      return
    }
    guard time < Admission.sampleMax else { return }
    let current = Double(begun - last.begun) / Double(time)
    if last.waiting > 0, waiting > 0 {
      // What was seen long ago counts less than what was seen just now.
      rate = rate.map { $0 + (current - $0) * Double(time) / Admission.rateMemory } ?? current
    } else if let known = rate {
      // Nobody had to wait: it can be more than that.
      rate = max(known, current)
    }
  }
}

extension Timestamp {
  fileprivate static func - (later: Timestamp, earlier: Timestamp) -> Int64 {
    later.millisecondsSinceEpoch - earlier.millisecondsSinceEpoch
  }
}
