/// A bounded cache of two generations: when the young one is full it becomes the old one, and what
/// was not used since is dropped. At most twice `capacity` entries; no list to maintain.
package struct RecencyCache<Key: Hashable, Value> {
  private let capacity: Int
  private var young: [Key: Value] = [:]
  private var old: [Key: Value] = [:]

  package init(capacity: Int) { self.capacity = capacity }

  package subscript(key: Key) -> Value? {
    mutating get {
      if let value = young[key] { return value }
      guard let value = old.removeValue(forKey: key) else { return nil }
      insert(value, for: key)
      return value
    }
    set {
      old[key] = nil
      if let newValue {
        insert(newValue, for: key)
      } else {
        young[key] = nil
      }
    }
  }

  private mutating func insert(_ value: Value, for key: Key) {
    if young.count >= capacity, young[key] == nil {
      old = young
      young = [:]
    }
    young[key] = value
  }
}
