import EventSourcing
import Mongo

/// Checks commits one after another: shape, order, hash chain.
struct ChainCheck {
  /// Where the next commit belongs; nil when what is before it cannot be read, which the check of
  /// the range before reports.
  private(set) var next: Position?
  /// The hash to which the next commit must be chained; nil as for `next`.
  private(set) var hash: ChainHash?
  private(set) var commits: Int64 = 0
  /// What the global checks need of every commit up to here, and of one whose hash is wrong.
  private(set) var traces: [Trace] = []

  /// Begins after `previous`; before the first commit when there is none.
  init(after previous: BSONDocument?) {
    guard let previous else {
      next = .start + 1
      hash = ChainHash.none
      return
    }
    var ignored: [Trace] = []
    previous.withView { view in
      if let commit = try? StoredCommit(view, traces: &ignored) {
        next = commit.next
        hash = ChainHash(commit.hash)
      }
    }
  }

  /// - Throws: ``LogFault``.
  mutating func add(_ view: BSONView) throws {
    try checkPlace(of: view)
    let known = traces.count
    let commit: StoredCommit
    do {
      commit = try StoredCommit(view, traces: &traces)
    } catch {
      traces.removeSubrange(known...)
      throw LogFault(.shape, at: next ?? .start + 1, "this is no commit of Magasin's: \(error)")
    }
    if let hash, !commit.isChained(to: hash) {
      throw LogFault(
        .chain, at: commit.position,
        "the hash chain is broken: this commit or the hash of the one before it was changed")
    }
    hash = ChainHash(commit.hash)
    next = commit.next
    commits += 1
  }

  private func checkPlace(of view: BSONView) throws {
    guard let next, var scanner = try? BSONScanner(view.bytes),
      let first = try? scanner.next(), first.isNamed("_id"), first.type == 0x12,
      let found = first.integer, found > 0, found != next.rawValue
    else { return }
    if found > next.rawValue { throw Self.hole(at: next, before: Position(found)) }
    throw LogFault(
      .order, at: Position(found),
      "this commit overlaps the one before, which ends at \(next.rawValue - 1)")
  }

  static func hole(at position: Position, before next: Position?) -> LogFault {
    let rest = next.map { "the next one is at \($0)" } ?? "there is none after it"
    return LogFault(.order, at: position, "a commit is missing here; \(rest)")
  }

  /// Forgets the traces, which someone else has taken.
  mutating func takeTraces() -> [Trace] {
    defer { traces.removeAll(keepingCapacity: true) }
    return traces
  }
}
