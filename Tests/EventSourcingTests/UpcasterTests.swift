import EventSourcing
import EventSourcingTesting
import Testing

/// Schema 1: `{metres}`; schema 2: `{length, unit}`; schema 3: `{millimetres}`.
private struct Measured: EventSourcing.Event, Equatable {
  var millimetres: Int64

  var type: String { "Measured" }
  var schema: Int { 3 }
  var data: Fields { ["millimetres": .integer(millimetres)] }

  init(millimetres: Int64) { self.millimetres = millimetres }

  init(type: String, schema: Int, data: Fields) throws {
    guard (type, schema) == ("Measured", 3) else { throw UnknownEvent(type: type, schema: schema) }
    millimetres = try data.integer("millimetres")
  }
}

private enum Measurements: Decider {
  static let category = "measurements"
  static var initial: Int64 { 0 }
  static let upcasters = [
    Upcaster("Measured", from: 2) { data in
      let scale: Int64 = try data.string("unit") == "m" ? 1000 : 1
      return ["millimetres": .integer(try data.integer("length") * scale)]
    },
    Upcaster("Measured", from: 1) { data in
      ["length": .integer(try data.integer("metres")), "unit": "m"]
    },
  ]
  static func decide(_ command: Int64, _ state: Int64) throws(CounterRejection) -> [Measured] { [] }
  static func evolve(_ state: inout Int64, _ event: Measured) { state = event.millimetres }
}

@Suite("Upcasters")
struct UpcasterTests {
  private func read(_ schema: Int, _ data: Fields, type: String = "Measured") throws -> Measured {
    try Measurements.decode(type: type, schema: schema, data: data)
  }

  @Test("every older schema is lifted step by step, in whatever order the steps are named")
  func chain() throws {
    #expect(try read(1, ["metres": 2]) == Measured(millimetres: 2000))
    #expect(try read(2, ["length": 5, "unit": "mm"]) == Measured(millimetres: 5))
    #expect(try read(3, ["millimetres": 7]) == Measured(millimetres: 7))
  }

  @Test("a schema from the future, or of another type, is not guessed at")
  func unknown() {
    for (schema, type) in [(4, "Measured"), (0, "Measured"), (1, "Weighed")] {
      #expect(throws: UnknownEvent.self) { try read(schema, ["metres": 2], type: type) }
    }
  }

  @Test("data that an upcaster cannot read is refused by the field's name")
  func unreadable() {
    #expect(throws: FieldError("metres", .missing)) { try read(1, [:]) }
  }

  @Test("what is stored stays as it was written")
  func storedAsWritten() async throws {
    let log = InMemoryLog()
    let stream = Measurements.stream("a")
    try await log.append(
      ProposedCommit(
        context: CommitContext(commandID: .random(), timestamp: .now, serviceName: "test"),
        events: [ProposedEvent(stream: stream, type: "Measured", data: ["metres": 2])]))
    let handler = CommandHandler<Measurements>(log: log)
    #expect(try await handler.state(of: "a").state == 2000)
    let stored = try await log.stream(stream)
    #expect(stored.map(\.schema) == [1])
    #expect(stored.map(\.data) == [["metres": 2]])
    #expect(try Measurements.currentData(of: stored[0]) == ["millimetres": 2000])
  }
}
