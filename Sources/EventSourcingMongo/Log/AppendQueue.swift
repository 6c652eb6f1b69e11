import EventSourcing
import Synchronization

/// An append with its place in the queue. A class: it goes from line to line.
final class Submission: Sendable {
  let commit: ProposedCommit
  let ticket: AppendTicket
  /// About the memory that it holds, in bytes.
  let size: Int
  let isBackground: Bool

  init(commit: ProposedCommit, ticket: AppendTicket, isBackground: Bool) {
    self.commit = commit
    self.ticket = ticket
    self.isBackground = isBackground
    size = commit.approximateSize
  }
}

/// Submissions in order: added at the end, taken from the front, both at little cost.
struct SubmissionLine {
  private var submissions: [Submission] = []
  private var taken = 0

  var count: Int { submissions.count - taken }
  var isEmpty: Bool { count == 0 }
  var first: Submission? { isEmpty ? nil : submissions[taken] }
  var all: ArraySlice<Submission> { submissions[taken...] }

  mutating func add(_ more: some Collection<Submission>) {
    if isEmpty { removeAll() }
    submissions.append(contentsOf: more)
  }

  mutating func putBack(_ earlier: some Collection<Submission>) {
    submissions.replaceSubrange(..<taken, with: earlier)
    taken = 0
  }

  mutating func removeFirst(_ number: Int = 1) {
    taken += number
    // What was taken is let go in one piece, once it is the larger part.
    if taken > 256, taken * 2 > submissions.count {
      submissions.removeFirst(taken)
      taken = 0
    }
  }

  mutating func removeAll() {
    submissions.removeAll(keepingCapacity: true)
    taken = 0
  }
}

/// The appends of this process that have no outcome yet: bounded in number and in size, in the
/// order in which they were asked for. Those of background work stand in a line of their own.
final class AppendQueue: Sendable {
  private struct Line {
    var arrived: [Submission] = []
    /// What has no outcome yet: arrived, waiting at the writer or in flight.
    var outstanding = 0
    var bytes = 0

    /// False when there is no room.
    mutating func add(_ submission: Submission, countMax: Int, bytesMax: Int) -> Bool {
      guard hasRoom(for: submission.size, countMax: countMax, bytesMax: bytesMax) else {
        return false
      }
      arrived.append(submission)
      outstanding += 1
      bytes += submission.size
      return true
    }

    mutating func release(_ submission: Submission) {
      outstanding -= 1
      bytes -= submission.size
    }

    /// Whether one more finds room; one that is too large for the line still passes when it is alone.
    func hasRoom(for size: Int, countMax: Int, bytesMax: Int) -> Bool {
      outstanding < countMax && (outstanding == 0 || bytes + size <= bytesMax)
    }

    mutating func take() -> [Submission] {
      guard !arrived.isEmpty else { return [] }
      let taken = arrived
      arrived = []
      arrived.reserveCapacity(taken.count)
      return taken
    }
  }

  private struct State {
    var requests = Line()
    var background = Line()
    /// How many appends were under way of late, on average, how many of them for background work,
    /// and how many requests came a second.
    var load = 0.0
    var backgroundLoad = 0.0
    var requestRate = 0.0
    /// When they were reckoned the last time.
    var reckoned = ContinuousClock.now
    /// The writer is to be woken as soon as so many have arrived; nil: it looks by itself.
    var wakeAt: Int? = 1

    var arrived: Int { requests.arrived.count + background.arrived.count }

    var outstanding: Int { requests.outstanding + background.outstanding }

    /// Takes note of how many there were until now, before one comes or goes.
    mutating func reckon(at now: ContinuousClock.Instant) {
      let weight = min(1, (now - reckoned) / AppendQueue.memory)
      load += (Double(outstanding) - load) * weight
      backgroundLoad += (Double(background.outstanding) - backgroundLoad) * weight
      requestRate -= requestRate * weight
      reckoned = now
    }

    mutating func noteRequest() { requestRate += 1 / (AppendQueue.memory / .seconds(1)) }
  }

  private static let backgroundMax = 50_000
  /// Fewer appends under way at a time are few.
  private static let appendsMany = 16.0
  /// Appends of background work that are under way at a time where each waits for few others only.
  private static let backgroundFew = 48.0
  /// Requests a second: twice what two cores can carry out to the end.
  private static let floodRate = 2_500.0
  /// A burst that is over sooner is no flood.
  private static let memory: Duration = .milliseconds(300)

  private let countMax: Int
  private let bytesMax: Int
  private let state = Mutex(State())

  init(countMax: Int, bytesMax: Int) {
    self.countMax = countMax
    self.bytesMax = bytesMax
  }

  /// Appends that lost to another one, since the process started.
  let conflicts = Atomic(0)

  var outstanding: Int {
    state.withLock { $0.requests.outstanding + $0.background.outstanding }
  }

  func isUnder(_ pressure: AppendPressure) -> Bool {
    state.withLock { state in
      let now = ContinuousClock.now
      state.reckon(at: now)
      return switch pressure {
      case .many: state.load >= Self.appendsMany
      case .flood: state.requestRate >= Self.floodRate
      }
    }
  }

  /// Whether so much background work appends that it pays to let more come together.
  var isCrowded: Bool {
    state.withLock { state in
      state.reckon(at: .now)
      return state.backgroundLoad > Self.backgroundFew
    }
  }

  /// Whether a request's append would find no room.
  var isFull: Bool {
    state.withLock {
      !$0.requests.hasRoom(for: 1, countMax: countMax, bytesMax: bytesMax)
    }
  }

  enum Arrival {
    case queued(mustWake: Bool)
    case full
  }

  func add(_ submission: Submission) -> Arrival {
    state.withLock { state in
      state.reckon(at: .now)
      if submission.isBackground {
        guard
          state.background.add(submission, countMax: Self.backgroundMax, bytesMax: bytesMax)
        else { return .full }
      } else {
        state.noteRequest()
        guard state.requests.add(submission, countMax: countMax, bytesMax: bytesMax) else {
          return .full
        }
      }
      guard let wakeAt = state.wakeAt, state.arrived >= wakeAt else {
        return .queued(mustWake: false)
      }
      state.wakeAt = nil
      return .queued(mustWake: true)
    }
  }

  /// Everything that has arrived since the last time.
  func take() -> (requests: [Submission], background: [Submission]) {
    state.withLock { state in
      state.wakeAt = nil
      return (state.requests.take(), state.background.take())
    }
  }

  /// Asks for a wake-up when `count` have arrived. False when they are there already.
  func sleep(until count: Int) -> Bool {
    state.withLock { state in
      guard state.arrived < count else { return false }
      state.wakeAt = count
      return true
    }
  }

  /// Gives free the places of submissions whose outcome is known.
  func release(_ submissions: some Sequence<Submission>) {
    state.withLock { state in
      state.reckon(at: .now)
      for submission in submissions {
        if submission.isBackground {
          state.background.release(submission)
        } else {
          state.requests.release(submission)
        }
      }
    }
  }
}

extension ProposedCommit {
  /// About the memory that it holds until its outcome is known, in bytes: what the queue is
  /// bounded by.
  var approximateSize: Int {
    events.reduce(600 + context.metadata.approximateSize) { $0 + 200 + $1.data.approximateSize }
  }
}
