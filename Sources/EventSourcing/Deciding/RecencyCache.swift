import Foundation

/// A bounded cache of two generations: when the young one is full it becomes the old one, and what
/// was not used since is dropped. At most twice `capacity` entries; no list to maintain.
@usableFromInline
package struct RecencyCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  /// A key that was hashed once: both generations are asked for it.
  @usableFromInline
  struct Hashed: Hashable, Sendable {
    @usableFromInline let key: Key
    @usableFromInline let hash: Int

    @inlinable
    init(_ key: Key) {
      self.key = key
      hash = key.hashValue
    }

    @inlinable
    func hash(into hasher: inout Hasher) { hasher.combine(hash) }

    @inlinable
    static func == (left: Hashed, right: Hashed) -> Bool {
      left.hash == right.hash && left.key == right.key
    }
  }

  @usableFromInline let capacity: Int
  @usableFromInline var young: [Hashed: Value] = [:]
  @usableFromInline var old: [Hashed: Value] = [:]

  @inlinable
  package init(capacity: Int) { self.capacity = capacity }

  @inlinable package subscript(key: Key) -> Value? {
    mutating get {
      let key = Hashed(key)
      if let value = young[key] { return value }
      guard !old.isEmpty, let value = old.removeValue(forKey: key) else { return nil }
      insert(value, for: key)
      return value
    }
    set {
      let key = Hashed(key)
      if !old.isEmpty { old[key] = nil }
      if let newValue {
        insert(newValue, for: key)
      } else {
        young[key] = nil
      }
    }
  }

  @inlinable
  mutating func insert(_ value: Value, for key: Hashed) {
    if young.count >= capacity, young[key] == nil {
      Self.letGo(of: old)
      old = young
      young = Dictionary(minimumCapacity: capacity)
    }
    young[key] = value
  }

  /// Takes apart a generation elsewhere: the caller may hold a lock that everybody waits for, and it
  /// takes milliseconds.
  @usableFromInline
  static func letGo(of generation: [Hashed: Value]) {
    guard !generation.isEmpty else { return }
    DispatchQueue.global(qos: .utility).async { withExtendedLifetime(generation) {} }
  }
}
