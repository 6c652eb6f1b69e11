import EventSourcing
import Foundation
import Mongo

extension BSONWriter {
  /// Integers become int64, decimals Decimal128, objects documents: exactly, both ways.
  mutating func append(_ key: String, value: Value) {
    switch value {
    case .null: appendNull(key)
    case .bool(let bool): append(key, bool)
    case .integer(let integer): append(key, integer)
    case .decimal(let decimal): append(key, unscaled: decimal.unscaled, scale: decimal.scale)
    case .string(let string): append(key, string)
    case .array(let values):
      appendArray(key) { array in
        for value in values { array.append { $0.append($1, value: value) } }
      }
    case .object(let fields): appendDocument(key) { $0.append(fields) }
    }
  }

  mutating func append(_ fields: Fields) {
    for entry in fields.entries { append(entry.key, value: entry.value) }
  }

  mutating func append(_ key: String, uuid: UUID) {
    withUnsafeBytes(of: uuid.uuid) { bytes in
      append(key, uuid: bytes.bindMemory(to: UInt8.self).span)
    }
  }

  mutating func append(_ key: String, sha256: [UInt8]) {
    append(key, binary: sha256.span)
  }

  mutating func append(_ key: String, _ position: Position) { append(key, position.rawValue) }
}

extension BSONView {
  /// Throws ``UnreadableDocument`` for a BSON type that Magasin never writes.
  func fields() throws -> Fields {
    var entries: [Fields.Entry] = []
    try visit { key, element in
      let name = String(decoding: key, as: UTF8.self)
      entries.append(Fields.Entry(key: name, value: try element.value(of: name)))
      return true
    }
    return Fields(uniqueEntries: entries)
  }
}

extension BSONView.Element {
  func value(of key: String) throws -> Value {
    switch self {
    case .null: return .null
    case .bool(let bool): return .bool(bool)
    case .int32(let integer): return .integer(Int64(integer))
    case .int64(let integer): return .integer(integer)
    case .decimal(let unscaled, let scale):
      return .decimal(FixedDecimal(unscaled: unscaled, scale: scale))
    case .string(let string): return .string(string)
    case .document(let view): return .object(try view.fields())
    case .array(let view): return .array(try view.elements().map { try $0.value(of: key) })
    case .dateTime(let milliseconds):
      return .string(Timestamp(millisecondsSinceEpoch: milliseconds).iso8601)
    case .double, .binary, .other:
      throw UnreadableDocument(reason: "\(key) has a BSON type that is not used here")
    }
  }

  var uuid: UUID? {
    guard case .binary(_, let bytes) = self, bytes.count == 16 else { return nil }
    return UUID(bytes: bytes)
  }
}

/// A stored document is not of the shape that Magasin writes.
struct UnreadableDocument: Error, CustomStringConvertible {
  var reason: String
  var description: String { reason }
}
