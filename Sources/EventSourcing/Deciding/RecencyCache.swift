/// A bounded cache of two generations: when the young one is full it becomes the old one, and what
/// was not used since is dropped. At most twice `capacity` entries; no list to maintain.
@usableFromInline
package struct RecencyCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline let capacity: Int
  @usableFromInline var young: [Key: Value] = [:]
  @usableFromInline var old: [Key: Value] = [:]

  @inlinable
  package init(capacity: Int) { self.capacity = capacity }

  @inlinable package subscript(key: Key) -> Value? {
    mutating get {
      if let value = young[key] { return value }
      guard !old.isEmpty, let value = old.removeValue(forKey: key) else { return nil }
      insert(value, for: key)
      return value
    }
    set {
      if !old.isEmpty { old[key] = nil }
      if let newValue {
        insert(newValue, for: key)
      } else {
        young[key] = nil
      }
    }
  }

  @inlinable
  mutating func insert(_ value: Value, for key: Key) {
    if young.count >= capacity, young[key] == nil {
      old = young
      young = Dictionary(minimumCapacity: capacity)
    }
    young[key] = value
  }
}
