import Commerce
import EventSourcing
import EventSourcingTesting
import Foundation
import Testing

/// Whatever was stored once is read for ever. `RecordedEvents` holds stored events of every type
/// and schema, and the shapes that they were stored in: lines are added there, never changed.
@Suite("Recorded events")
struct RecordedEventsTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()

  static func lines(_ name: String) throws -> String {
    try String(contentsOf: folder.appending(path: "RecordedEvents/\(name).jsonl"), encoding: .utf8)
  }

  private func check<D: Decider>(
    _ decider: D.Type, _ samples: [(name: String, event: D.Event)],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws where D.Event: Equatable {
    let register = try SchemaRegister(lines: Self.lines("\(D.category).shapes"))
    let findings =
      register.findings(
        writing: SchemaRegister.forms(of: samples.map(\.event)), upcasters: D.upcasters)
      + RecordedSample.findings(
        of: try RecordedSample.samples(lines: Self.lines(D.category)), D.self, expected: samples,
        register: register)
    for finding in findings {
      Issue.record("\(D.category): \(finding)", sourceLocation: sourceLocation)
    }
  }

  @Test("are read as they were meant, and the shape of none has changed under its schema number")
  func stayReadable() throws {
    try check(Orders.self, EventSamples.orders)
    try check(Inventory.self, EventSamples.inventory)
    try check(Payments.self, EventSamples.payments)
    try check(Products.self, EventSamples.products)
    try check(Customers.self, EventSamples.customers)
    try check(Notifications.self, EventSamples.notifications)
  }

  @Test("every type of event that the source names is among the samples")
  func complete() throws {
    let sources = Self.folder.appending(path: "../../Sources/Commerce").standardizedFileURL
    let files = try #require(
      FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    var named: Set<String> = []
    for case let file as URL in files where file.pathExtension == "swift" {
      let text = try String(contentsOf: file, encoding: .utf8)
      for match in text.matches(of: #/static var type: String \{ "(\w+)" \}/#) {
        named.insert(String(match.1))
      }
    }
    let samples: [any EventSourcing.Event] =
      EventSamples.orders.map(\.event) + EventSamples.inventory.map(\.event)
      + EventSamples.payments.map(\.event) + EventSamples.products.map(\.event)
      + EventSamples.customers.map(\.event) + EventSamples.notifications.map(\.event)
    #expect(!named.isEmpty)
    #expect(named == Set(samples.map(\.type)), "add samples to EventSamples")
  }

  @Test("a confirmation of schema 1 names no lines, and is stored as it was")
  func confirmationOfSchema1() throws {
    let recorded = try #require(
      try RecordedSample.samples(lines: Self.lines("orders")).first {
        $0.type == "OrderConfirmed" && $0.schema == 1
      })
    #expect(recorded.data["items"] == nil)
    guard
      case .confirmed(let event) = try Orders.decode(
        type: recorded.type, schema: recorded.schema, data: recorded.data)
    else {
      Issue.record("it is read as something else")
      return
    }
    #expect(event.items.isEmpty)
    #expect(event.total == Samples.cad(398))
  }

  @Test("a confirmation names the lines of its order")
  func confirmationNamesLines() throws {
    let events = try given(Orders.self, .initiated(Samples.initiated)).when(.confirm).events()
    guard case .confirmed(let event)? = events.first else {
      Issue.record("not confirmed")
      return
    }
    #expect(event.items == Samples.initiated.items)
  }

  @Test("a cancellation of schema 1 takes back no lines; one of today names those that were sold")
  func cancellationNamesWhatWasSold() throws {
    let recorded = try #require(
      try RecordedSample.samples(lines: Self.lines("orders")).first {
        $0.type == "OrderCancelled" && $0.schema == 1
      })
    #expect(try cancelled(recorded.type, recorded.schema, recorded.data).items.isEmpty)
    let initiated = OrderEvent.initiated(Samples.initiated)
    let confirmations = try RecordedSample.samples(lines: Self.lines("orders")).filter {
      $0.type == "OrderConfirmed"
    }
    #expect(confirmations.map(\.schema) == [1, 2])
    // What a confirmation did not name nobody has counted: its cancellation does not name it either.
    for (confirmation, sold) in zip(confirmations, [[], Samples.initiated.items]) {
      let confirmed = try Orders.decode(
        type: confirmation.type, schema: confirmation.schema, data: confirmation.data)
      let events = try given(Orders.self, initiated, confirmed)
        .when(.cancel(reason: "changed my mind", code: "CUSTOMER_REQUEST")).events()
      let event = try #require(events.first)
      #expect(try cancelled(event.type, event.schema, event.data).items == sold)
    }
    let early = try given(Orders.self, initiated)
      .when(.cancel(reason: "no stock", code: "OUT_OF_STOCK")).events()
    let event = try #require(early.first)
    #expect(try cancelled(event.type, event.schema, event.data).items.isEmpty)
  }

  private func cancelled(_ type: String, _ schema: Int, _ data: Fields) throws -> OrderCancelled {
    let event = try Orders.decode(type: type, schema: schema, data: data)
    guard case .cancelled(let cancelled) = event else {
      throw UnknownEvent(type: type, schema: schema)
    }
    return cancelled
  }
}
