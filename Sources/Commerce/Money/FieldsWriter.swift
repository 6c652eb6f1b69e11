import EventSourcing

/// Writes the data of an event whose keys are all different, without looking for doubles.
/// A nil value leaves its key out.
struct FieldsWriter {
  private var entries: [Fields.Entry] = []

  mutating func add(_ key: String, _ value: Value) {
    entries.append(Fields.Entry(key: key, value: value))
  }

  mutating func add(_ key: String, _ text: String?) {
    if let text { add(key, .string(text)) }
  }

  mutating func add(_ key: String, _ integer: Int64?) {
    if let integer { add(key, .integer(integer)) }
  }

  mutating func add(_ key: String, _ bool: Bool) { add(key, .bool(bool)) }

  /// The amount under `key`, and its currency under `currency`.
  mutating func add(_ key: String, _ money: Money) {
    add(key, money.value)
    add("currency", .string(money.currency.code))
  }

  static func fields(capacity: Int, _ write: (inout FieldsWriter) -> Void) -> Fields {
    var writer = FieldsWriter()
    writer.entries.reserveCapacity(capacity)
    write(&writer)
    return Fields(uniqueEntries: writer.entries)
  }
}
