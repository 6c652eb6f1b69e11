/// A Bloom filter over ids: of a fixed size however many there are. "No" is certain, "perhaps" is
/// what it says to all that were inserted and, when there are very many, to some that were not.
struct IDFilter: Sendable {
  private static let probes = 4

  private var words: [UInt64]

  /// - Parameter bits: a power of two.
  init(bits: Int = 1 << 26) { words = Array(repeating: 0, count: bits / 64) }

  mutating func insert(_ id: String) {
    for place in Self.places(of: id, among: words.count * 64) {
      words[place / 64] |= 1 << UInt64(place % 64)
    }
  }

  func mayContain(_ id: String) -> Bool {
    Self.places(of: id, among: words.count * 64).allSatisfy { place in
      words[place / 64] & 1 << UInt64(place % 64) != 0
    }
  }

  /// Places by double hashing (Kirsch and Mitzenmacher, "Less Hashing, Same Performance").
  private static func places(of id: String, among bits: Int) -> some Sequence<Int> {
    let hash = UInt64(bitPattern: Int64(id.hashValue))
    let first = hash & 0xFFFF_FFFF
    let step = hash >> 32 | 1
    return (0..<UInt64(probes)).lazy.map { Int((first &+ $0 &* step) & UInt64(bits - 1)) }
  }
}
