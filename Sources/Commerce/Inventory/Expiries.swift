import EventSourcing

/// Which orders' holds expire, by the moment when they do. As in ``PersistentMap``, copies share all
/// that did not change: a treap, whose shape depends on what is in it and on nothing else.
struct Expiries: Sendable {
  private struct Entry: Sendable, Comparable {
    var moment: Timestamp
    var order: OrderID

    static func < (left: Entry, right: Entry) -> Bool {
      left.moment == right.moment ? left.order < right.order : left.moment < right.moment
    }
  }

  private indirect enum Node: Sendable {
    case empty
    case node(left: Node, Entry, rank: Int, right: Node)
  }

  private var root = Node.empty

  /// The order's hold expires at `moment`; it must not be there yet.
  mutating func insert(_ order: OrderID, at moment: Timestamp) {
    let entry = Entry(moment: moment, order: order)
    root = Self.inserting(entry, rank: order.hashValue, into: root)
  }

  /// The order's hold does not expire at `moment` any more.
  mutating func remove(_ order: OrderID, at moment: Timestamp) {
    root = Self.removing(Entry(moment: moment, order: order), from: root)
  }

  /// Visits the orders whose hold has expired at `now`, the earliest first, until `visit` answers
  /// that it has seen enough.
  func visit(expiredAt now: Timestamp, _ visit: (OrderID) -> Bool) {
    _ = Self.visit(root, now, visit)
  }

  /// Answers whether to go on.
  private static func visit(
    _ node: Node, _ now: Timestamp, _ body: (OrderID) -> Bool
  ) -> Bool {
    guard case .node(let left, let entry, _, let right) = node else { return true }
    guard visit(left, now, body) else { return false }
    guard entry.moment <= now, body(entry.order) else { return false }
    return visit(right, now, body)
  }

  private static func inserting(_ entry: Entry, rank: Int, into node: Node) -> Node {
    guard case .node(let left, let other, let otherRank, let right) = node else {
      return .node(left: .empty, entry, rank: rank, right: .empty)
    }
    if rank > otherRank {
      let (before, after) = split(node, at: entry)
      return .node(left: before, entry, rank: rank, right: after)
    }
    if entry < other {
      let more = inserting(entry, rank: rank, into: left)
      return .node(left: more, other, rank: otherRank, right: right)
    }
    let more = inserting(entry, rank: rank, into: right)
    return .node(left: left, other, rank: otherRank, right: more)
  }

  /// What lies before `entry`, and what lies behind.
  private static func split(_ node: Node, at entry: Entry) -> (Node, Node) {
    guard case .node(let left, let other, let rank, let right) = node else {
      return (.empty, .empty)
    }
    if other < entry {
      let (before, after) = split(right, at: entry)
      return (.node(left: left, other, rank: rank, right: before), after)
    }
    let (before, after) = split(left, at: entry)
    return (before, .node(left: after, other, rank: rank, right: right))
  }

  private static func removing(_ entry: Entry, from node: Node) -> Node {
    guard case .node(let left, let other, let rank, let right) = node else { return .empty }
    if other == entry { return joined(left, right) }
    if entry < other {
      return .node(left: removing(entry, from: left), other, rank: rank, right: right)
    }
    return .node(left: left, other, rank: rank, right: removing(entry, from: right))
  }

  /// All of `first` lies before all of `second`.
  private static func joined(_ first: Node, _ second: Node) -> Node {
    guard case .node(let left, let entry, let rank, let right) = first else { return second }
    guard case .node(let otherLeft, let otherEntry, let otherRank, let otherRight) = second
    else { return first }
    if rank > otherRank {
      return .node(left: left, entry, rank: rank, right: joined(right, second))
    }
    return .node(
      left: joined(first, otherLeft), otherEntry, rank: otherRank, right: otherRight)
  }
}

extension Expiries: Equatable {
  static func == (one: Expiries, other: Expiries) -> Bool { one.entries == other.entries }

  private var entries: [Entry] {
    var entries: [Entry] = []
    func collect(_ node: Node) {
      guard case .node(let left, let entry, _, let right) = node else { return }
      collect(left)
      entries.append(entry)
      collect(right)
    }
    collect(root)
    return entries
  }
}
