import EventSourcing

/// The keys of some data and the kinds of their values: what must not change under one schema
/// number.
///
/// Paths are written as in `items[].quantity`. A kind is that of ``Value``, several are joined by
/// `or`, and a key that some object lacks is `optional`.
public struct EventShape: Sendable, Hashable {
  /// By path.
  public private(set) var kinds: [String: String]

  /// The shape that all of `samples` have together: some with every optional key, some without.
  public init(of samples: [Fields]) {
    var collector = Collector()
    for sample in samples { collector.visit(.object(sample), at: "") }
    kinds = collector.kinds
  }

  /// A shape as it was recorded: kinds by path.
  public init(recorded: Fields) throws {
    kinds = [:]
    for entry in recorded.entries { kinds[entry.key] = try recorded.string(entry.key) }
  }

  /// As it is recorded, in the order of the paths.
  public var fields: Fields {
    Fields(kinds.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
  }

  /// What one would see first: `added items (array)`. Empty for equal shapes.
  public func changes(from old: EventShape) -> [String] {
    Set(kinds.keys).union(old.kinds.keys).sorted().compactMap { path in
      switch (old.kinds[path], kinds[path]) {
      case (let before?, let now?) where before != now: "changed \(path) from \(before) to \(now)"
      case (nil, let now?): "added \(path) (\(now))"
      case (let before?, nil): "removed \(path) (\(before))"
      default: nil
      }
    }
  }

  private struct Collector {
    private var found: [String: Set<String>] = [:]
    /// Objects that there are at a path, and objects that have a key.
    private var objects: [String: Int] = [:]
    private var holders: [String: (parent: String, count: Int)] = [:]

    mutating func visit(_ value: Value, at path: String) {
      switch value {
      case .object(let fields):
        objects[path, default: 0] += 1
        for entry in fields.entries {
          let child = path.isEmpty ? entry.key : "\(path).\(entry.key)"
          found[child, default: []].insert(entry.value.kind)
          holders[child, default: (path, 0)].count += 1
          visit(entry.value, at: child)
        }
      case .array(let elements):
        for element in elements {
          found[path + "[]", default: []].insert(element.kind)
          visit(element, at: path + "[]")
        }
      case .null, .bool, .integer, .decimal, .string: break
      }
    }

    var kinds: [String: String] {
      Dictionary(
        uniqueKeysWithValues: found.map { path, kinds in
          let isOptional = holders[path].map { $0.count < objects[$0.parent, default: 0] } ?? false
          let joined = kinds.sorted().joined(separator: " or ")
          return (path, isOptional ? joined + ", optional" : joined)
        })
    }
  }
}
