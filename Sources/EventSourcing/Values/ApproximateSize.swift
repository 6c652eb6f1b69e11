extension Fields {
  /// About the memory that the fields hold, in bytes; their BSON is of the same order.
  package var approximateSize: Int {
    entries.reduce(0) { $0 + 16 + $1.key.utf8.count + $1.value.approximateSize }
  }
}

extension Value {
  fileprivate var approximateSize: Int {
    switch self {
    case .null, .bool, .integer, .decimal: MemoryLayout<Value>.stride
    case .string(let string): MemoryLayout<Value>.stride + string.utf8.count
    case .array(let values): values.reduce(32) { $0 + $1.approximateSize }
    case .object(let fields): 32 + fields.approximateSize
    }
  }
}
