import EventSourcing

/// The shapes that events were ever stored in, by type and schema: one line of JSON each, added and
/// never changed. A test holds what the program writes now against it.
///
///     {"type":"OrderConfirmed","schema":1,"shape":{"order_id":"string", …}}
public struct SchemaRegister: Sendable {
  /// What the program writes of one type now.
  public struct Form: Sendable {
    public var type: String
    public var schema: Int
    public var shape: EventShape

    public init(type: String, schema: Int, shape: EventShape) {
      self.type = type
      self.schema = schema
      self.shape = shape
    }

    /// The line of the register.
    public var line: String {
      JSONWriter.text([
        "type": .string(type), "schema": .integer(Int64(schema)), "shape": .object(shape.fields),
      ])
    }
  }

  public let records: [Form]

  public init(lines: String) throws {
    records = try lines.split(separator: "\n").map { line in
      guard case .object(let fields) = try JSONReader.value(from: String(line)) else {
        throw FieldError("line", .invalid("must be an object"))
      }
      return Form(
        type: try fields.string("type"), schema: Int(try fields.integer("schema")),
        shape: try EventShape(recorded: try fields.object("shape")))
    }
  }

  /// The forms of some events, samples of a type taken together.
  public static func forms(of samples: [any Event]) -> [Form] {
    var types: [String] = []
    for sample in samples where !types.contains(sample.type) { types.append(sample.type) }
    return types.map { type in
      let samples = samples.filter { $0.type == type }
      return Form(
        type: type, schema: samples.map(\.schema).max() ?? 1,
        shape: EventShape(of: samples.map(\.data)))
    }
  }

  /// What is wrong, each with what to do about it; empty when all is well.
  /// - Parameter upcasters: nil for what is never read in an old form, such as snapshots.
  public func findings(writing forms: [Form], upcasters: [Upcaster]?) -> [String] {
    forms.flatMap { form in
      comparison(of: form) + (upcasters.map { history(of: form, $0) } ?? [])
    } + leftovers(forms) + doubles()
  }

  private func record(_ type: String, _ schema: Int) -> Form? {
    records.first { $0.type == type && $0.schema == schema }
  }

  private func comparison(of form: Form) -> [String] {
    guard let record = record(form.type, form.schema) else {
      return ["\(form.type) of schema \(form.schema) is not recorded. Add this line:\n\(form.line)"]
    }
    let changes = form.shape.changes(from: record.shape)
    guard !changes.isEmpty else { return [] }
    let next = Form(type: form.type, schema: form.schema + 1, shape: form.shape)
    return [
      """
      \(form.type) of schema \(form.schema): \(changes.joined(separator: ", ")). What is stored under \
      a schema number keeps its shape: give it schema \(next.schema), read schema \(form.schema) by \
      an upcaster, and add this line:
      \(next.line)
      """
    ]
  }

  /// Every older schema is recorded, and read.
  private func history(of form: Form, _ upcasters: [Upcaster]) -> [String] {
    (1..<max(1, form.schema)).flatMap { schema in
      var findings: [String] = []
      if record(form.type, schema) == nil {
        findings.append(
          "the record of \(form.type) of schema \(schema) is gone: events of it are stored")
      }
      if !upcasters.contains(where: { $0.type == form.type && $0.schema == schema }) {
        findings.append("\(form.type) has no upcaster from schema \(schema) to \(schema + 1)")
      }
      return findings
    }
  }

  /// Records of what nobody writes now.
  private func leftovers(_ forms: [Form]) -> [String] {
    records.compactMap { record in
      guard let form = forms.first(where: { $0.type == record.type }) else {
        return "\(record.type) is recorded and has no sample: events of it are stored"
      }
      return record.schema <= form.schema
        ? nil : "\(record.type) of schema \(record.schema) is recorded, \(form.schema) is written"
    }
  }

  private func doubles() -> [String] {
    var seen: Set<String> = []
    return records.compactMap { record in
      let name = "\(record.type) of schema \(record.schema)"
      return seen.insert(name).inserted ? nil : "\(name) is recorded twice"
    }
  }
}
