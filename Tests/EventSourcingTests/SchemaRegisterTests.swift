import EventSourcing
import EventSourcingTesting
import Testing

@Suite("The register of stored shapes")
struct SchemaRegisterTests {
  private static let sample: Fields = [
    "id": "a", "amount": .decimal(FixedDecimal(unscaled: 199, scale: 2)), "note": "n",
    "items": [["product": 1, "name": "x"], ["product": 2]], "at": ["city": "Laval"],
  ]
  private static let bare: Fields = [
    "id": "b", "amount": .decimal(FixedDecimal(unscaled: 1, scale: 0)), "items": [],
    "at": ["city": "Laval"],
  ]
  private static let upcaster = Upcaster("Sold", from: 1) { $0 }

  private func form(_ samples: [Fields], schema: Int = 1, type: String = "Sold")
    -> SchemaRegister.Form
  {
    SchemaRegister.Form(type: type, schema: schema, shape: EventShape(of: samples))
  }

  private var recorded: SchemaRegister.Form { form([Self.sample, Self.bare]) }

  private func findings(
    _ records: [SchemaRegister.Form], writing forms: [SchemaRegister.Form],
    upcasters: [Upcaster]? = []
  ) throws -> [String] {
    try SchemaRegister(lines: records.map(\.line).joined(separator: "\n"))
      .findings(writing: forms, upcasters: upcasters)
  }

  @Test("a shape names the paths, the kinds, and what may be missing")
  func shapes() {
    #expect(
      recorded.shape.kinds == [
        "id": "string", "amount": "number", "note": "string, optional", "items": "array",
        "items[]": "object", "items[].product": "integer", "items[].name": "string, optional",
        "at": "object", "at.city": "string",
      ])
  }

  @Test("nothing is found when nothing has changed")
  func unchanged() throws {
    #expect(try findings([recorded], writing: [recorded]) == [])
  }

  @Test("a shape that changed under its schema number is found, with what to do")
  func mutated() throws {
    let mutations: [(String, (inout Fields) -> Void)] = [
      ("added reason (string)", { $0["reason"] = "x" }),
      ("removed amount (number)", { $0["amount"] = nil }),
      ("changed id from string to integer", { $0["id"] = 1 }),
      ("changed id from string to null", { $0["id"] = .null }),
      ("added at.street (string)", { $0["at"] = ["city": "Laval", "street": "1 Main"] }),
      (
        "added items[].price (number)",
        { fields in
          fields["items"] = [
            ["product": 1, "name": "x", "price": .decimal(FixedDecimal(unscaled: 1, scale: 1))],
            ["product": 2, "price": .decimal(FixedDecimal(unscaled: 1, scale: 1))],
          ]
        }
      ),
      (
        "changed items[].product from integer to string",
        { fields in
          fields["items"] = [["product": "1", "name": "x"], ["product": "2"]]
        }
      ),
    ]
    for (expected, mutate) in mutations {
      var sample = Self.sample
      var bare = Self.bare
      mutate(&sample)
      mutate(&bare)
      let found = try findings([recorded], writing: [form([sample, bare])])
      #expect(found.count == 1, "\(expected): \(found)")
      #expect(found.first?.contains(expected) == true, "\(expected): \(found)")
      #expect(found.first?.contains("give it schema 2") == true)
      #expect(found.first?.contains(#"{"type":"Sold","schema":2,"shape":"#) == true)
    }
  }

  @Test("a key that becomes optional, or ceases to be, is a change")
  func optionality() throws {
    let whole = try findings([recorded], writing: [form([Self.sample])])
    #expect(whole.first?.contains("changed note from string, optional to string") == true)
    var bare = Self.bare
    bare["at"] = nil
    let partly = try findings([recorded], writing: [form([Self.sample, bare])])
    #expect(partly.first?.contains("changed at from object to object, optional") == true)
  }

  @Test("a new type, and a new schema, have to be recorded, and an upcaster to be there")
  func unrecorded() throws {
    let new = form([Self.sample], type: "Returned")
    #expect(
      try findings([recorded], writing: [recorded, new])
        == ["Returned of schema 1 is not recorded. Add this line:\n\(new.line)"])
    let next = form([Self.bare], schema: 2)
    let found = try findings([recorded], writing: [next])
    #expect(
      found == [
        "Sold of schema 2 is not recorded. Add this line:\n\(next.line)",
        "Sold has no upcaster from schema 1 to 2",
      ])
    #expect(try findings([recorded, next], writing: [next], upcasters: [Self.upcaster]) == [])
    #expect(try findings([next], writing: [next], upcasters: nil) == [])
  }

  @Test("a record may not go, come twice, or be of what nobody writes")
  func history() throws {
    let next = form([Self.bare], schema: 2)
    #expect(
      try findings([next], writing: [next], upcasters: [Self.upcaster])
        == ["the record of Sold of schema 1 is gone: events of it are stored"])
    #expect(
      try findings([recorded, recorded], writing: [recorded])
        == ["Sold of schema 1 is recorded twice"])
    #expect(
      try findings([recorded, next], writing: [recorded])
        == ["Sold of schema 2 is recorded, 1 is written"])
    #expect(
      try findings([recorded], writing: [])
        == ["Sold is recorded and has no sample: events of it are stored"])
  }
}
