/// A map whose copies share all that did not change: a change costs a path of a tree, whatever the
/// size. A product in a flash sale holds the reservations of thousands of orders, and every
/// decision works on a copy of the state; a Dictionary would be copied whole each time.
struct PersistentMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  /// A hash is read four bits a level, from the lowest: 16 children a branch.
  private indirect enum Node: Sendable {
    case empty
    case leaf(hash: Int, key: Key, value: Value)
    /// Different keys of one hash.
    case collision(hash: Int, [(key: Key, value: Value)])
    case branch([Node])
  }

  private static var bits: Int { 4 }

  private var root = Node.empty
  private(set) var count = 0

  init() {}

  var isEmpty: Bool { count == 0 }

  subscript(key: Key) -> Value? {
    get { Self.value(in: root, key: key, hash: key.hashValue) }
    set {
      let existed = self[key] != nil
      switch newValue {
      case let value?:
        root = Self.setting(
          in: root, key: key, value: value, hash: key.hashValue, depth: 0)
        if !existed { count += 1 }
      case nil:
        guard existed else { return }
        root = Self.removing(from: root, key: key, hash: key.hashValue, depth: 0)
        count -= 1
      }
    }
  }

  /// In no order that means anything.
  var entries: [(key: Key, value: Value)] {
    var entries: [(key: Key, value: Value)] = []
    entries.reserveCapacity(count)
    Self.collect(from: root, into: &entries)
    return entries
  }

  private static func collect(from node: Node, into entries: inout [(key: Key, value: Value)]) {
    switch node {
    case .empty: break
    case .leaf(_, let key, let value): entries.append((key, value))
    case .collision(_, let colliding): entries += colliding
    case .branch(let children): for child in children { collect(from: child, into: &entries) }
    }
  }

  private static func index(_ hash: Int, _ depth: Int) -> Int {
    Int(UInt(bitPattern: hash) >> UInt(depth * bits) & 0xF)
  }

  private static func value(in root: Node, key: Key, hash: Int) -> Value? {
    var node = root
    var depth = 0
    while true {
      switch node {
      case .empty: return nil
      case .leaf(let found, let other, let value):
        return found == hash && other == key ? value : nil
      case .collision(let found, let entries):
        return found == hash ? entries.first { $0.key == key }?.value : nil
      case .branch(let children):
        node = children[index(hash, depth)]
        depth += 1
      }
    }
  }

  private static func setting(
    in node: Node, key: Key, value: Value, hash: Int, depth: Int
  ) -> Node {
    switch node {
    case .empty: return .leaf(hash: hash, key: key, value: value)
    case .leaf(let found, let other, let otherValue):
      if found != hash {
        return setting(
          in: branch(holding: node, hash: found, depth: depth), key: key, value: value,
          hash: hash, depth: depth)
      }
      if other == key { return .leaf(hash: hash, key: key, value: value) }
      return .collision(hash: hash, [(other, otherValue), (key, value)])
    case .collision(let found, let entries):
      if found != hash {
        return setting(
          in: branch(holding: node, hash: found, depth: depth), key: key, value: value,
          hash: hash, depth: depth)
      }
      return .collision(hash: hash, entries.filter { $0.key != key } + [(key, value)])
    case .branch(var children):
      let place = index(hash, depth)
      children[place] = setting(
        in: children[place], key: key, value: value, hash: hash, depth: depth + 1)
      return .branch(children)
    }
  }

  private static func branch(holding node: Node, hash: Int, depth: Int) -> Node {
    var children = [Node](repeating: .empty, count: 16)
    children[index(hash, depth)] = node
    return .branch(children)
  }

  private static func removing(from node: Node, key: Key, hash: Int, depth: Int) -> Node {
    switch node {
    case .empty: return .empty
    case .leaf(_, let other, _): return other == key ? .empty : node
    case .collision(let found, let entries):
      let rest = entries.filter { $0.key != key }
      if rest.count == 1 { return .leaf(hash: found, key: rest[0].key, value: rest[0].value) }
      return .collision(hash: found, rest)
    case .branch(var children):
      let place = index(hash, depth)
      children[place] = removing(
        from: children[place], key: key, hash: hash, depth: depth + 1)
      return collapsed(children)
    }
  }

  /// A branch with nothing but one leaf gives way to the leaf, so that emptied maps are small.
  private static func collapsed(_ children: [Node]) -> Node {
    var only = Node.empty
    for child in children {
      switch (child, only) {
      case (.empty, _): continue
      case (.branch, _): return .branch(children)
      case (_, .empty): only = child
      default: return .branch(children)
      }
    }
    return only
  }
}

extension PersistentMap: Equatable where Value: Equatable {
  static func == (left: PersistentMap, right: PersistentMap) -> Bool {
    left.count == right.count && left.entries.allSatisfy { right[$0.key] == $0.value }
  }
}
