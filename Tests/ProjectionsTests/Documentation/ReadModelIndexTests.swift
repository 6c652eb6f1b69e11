import Commerce
import EventSourcing
import Foundation
import Testing

@testable import Projections

/// `projections/README.md` says what the code does.
@Suite("the index of read models")
struct ReadModelIndexTests {
  private let index: MarkdownFile
  private let sections: [String: MarkdownFile]

  init() throws {
    index = try MarkdownFile("projections/README.md")
    sections = Dictionary(
      index.codeSections.map { ($0.name, $0.body) }, uniquingKeysWith: { first, _ in first })
  }

  private func section(_ projection: any Projection) throws -> MarkdownFile {
    try #require(sections[projection.name], "projections/README.md has no ## `\(projection.name)`")
  }

  @Test("has a section for every read model that there is, and for no other")
  func complete() {
    #expect(index.codeSections.map(\.name) == ReadModels.all.map(\.name))
  }

  @Test("names the events, the indexes and the version of every fold")
  func folds() throws {
    for projection in ReadModels.all {
      let section = try section(projection)
      #expect(section.block("events")?.lines == projection.consumes.lines, "\(projection.name)")
      #expect(section.cell("version") == "\(projection.version)", "\(projection.name)")
      let indexes = projection.indexes.map { index in
        index.keys.map { $0.field + ($0.isDescending ? " desc" : "") }.joined(separator: ", ")
      }
      #expect(
        MarkdownFile.code(in: section.cell("indexes") ?? "") == indexes, "\(projection.name)")
    }
  }

  @Test("shows a real row of every read model, and names the keys that it does not show")
  func rows() async throws {
    let log = try await DocumentedDay().log
    for projection in ReadModels.all {
      try await check(try section(projection), projection, log)
    }
  }

  private func check<P: Projection>(
    _ section: MarkdownFile, _ projection: P, _ log: InMemoryLog
  ) async throws {
    let store = InMemoryReadModels()
    try await drive(projection, log: log, store: store)
    let stored = try await store.rows(of: "\(projection.name)__v1", after: nil, limit: 1000)
    let rows = try stored.map { try #require(try P.Row(fields: $0.fields) as? any QueriedRow) }
    let real = rows.map { JSONWriter.text(.object($0.json)) }
    let shown = try? JSONReader.value(from: section.block("json")?.text ?? "")
    #expect(
      real.contains(shown.map(JSONWriter.text) ?? ""),
      "\(projection.name) has no such row, but \(real)")

    let first = try #require(rows.first)
    let hidden = MarkdownFile.code(in: section.cell("internal keys") ?? "")
    #expect(Set(hidden) == type(of: first).internalKeys, "\(projection.name)")
    #expect(Set(hidden).isSubset(of: first.fields.keys), "\(projection.name)")
  }

  @Test("the paths that it names are in the OpenAPI document")
  func paths() throws {
    let described = Set(try MarkdownFile("docs/openapi.yaml").lines)
    for projection in ReadModels.all {
      let served = try section(projection).cell("served at") ?? ""
      let paths = MarkdownFile.code(in: served).map { $0.prefix { $0 != "?" } }
      #expect(!paths.isEmpty || served == "none", "\(projection.name)")
      for path in paths { #expect(described.contains("  \(path):"), "\(path)") }
    }
  }

  @Test("the README of each folder explains every key and names every event")
  func folders() async throws {
    let log = try await DocumentedDay().log
    for projection in ReadModels.all {
      let linked = try section(projection).text.firstMatch(of: #/\]\((\w+\/README\.md)\)/#)
      let folder = try MarkdownFile("projections/\(try #require(linked?.1))")
      #expect(folder.lines.first == "# \(projection.name)")
      let words = Set(MarkdownFile.code(in: folder.text))
      for key in try await keys(of: projection, log) {
        #expect(words.contains(key), "the README of \(projection.name) does not explain \(key)")
      }
      for case let types? in projection.consumes.types.values {
        for type in types {
          #expect(folder.text.contains(type), "the README of \(projection.name) lacks \(type)")
        }
      }
    }
  }

  private func keys<P: Projection>(of projection: P, _ log: InMemoryLog) async throws -> [String] {
    let store = InMemoryReadModels()
    try await drive(projection, log: log, store: store)
    let row = try await store.rows(of: "\(projection.name)__v1", after: nil, limit: 1).first
    return try #require(row).fields.keys
  }
}

/// One order of one customer, and on the next day a choreographed one of another: what the documents
/// show rows of.
private struct DocumentedDay {
  let log = InMemoryLog()
  private let shop: Shop
  private var now = History.start
  private var commands = 0

  init() async throws {
    shop = Shop(log: log)
    try await shop.registerCustomer(
      CustomerID(456), name: "Ada Martin", email: "ada@example.com", context: next())
    try await shop.addProduct(
      ProductAdded(
        productID: ProductID(101), name: "Coffee", sku: "COF-1",
        unitPrice: Money(minorUnits: 1250, currency: .cad)),
      context: next())
    try await shop.restock(ProductID(101), quantity: 12, location: .depot, context: next())
    try await placeOrder()
    try await placeChoreographedOrder()
  }

  private mutating func placeOrder() async throws {
    let lines: [OrderLine] = [(ProductID(101), 2)]
    let order = try await shop.placeOrder(
      PlaceOrder(userID: CustomerID(456), items: lines), context: next())
    let id = order.orderID
    try await saga(.saga("SagaStarted", "reserving", of: id, commands: [("reserve", "forward")]))
    try await shop.reserveStock(order: id, lines: lines, context: next())
    try await saga(
      .saga(
        "SagaAdvanced", "charging", of: id, finished: ("reserve", "forward", "succeeded"),
        commands: [("pay", "forward")]))
    try await shop.takePayment(
      order: id, user: CustomerID(456), amount: order.total, method: "card",
      effectID: "\(id)/pay/forward/1", context: next())
    try await shop.paymentSucceeded(order: id, transactionID: "txn_1", context: next())
    try await shop.confirmOrder(id, context: next())
  }

  private mutating func placeChoreographedOrder() async throws {
    now = History.start.adding(seconds: 86_400)
    let (customer, tea) = (CustomerID(457), ProductID(102))
    try await shop.registerCustomer(
      customer, name: "Bo Chen", email: "bo@example.com", context: next())
    try await shop.addProduct(
      ProductAdded(
        productID: tea, name: "Tea", sku: "TEA-1",
        unitPrice: Money(minorUnits: 800, currency: .cad)), context: next())
    try await shop.restock(tea, quantity: 5, location: .depot, context: next())
    let order = try await shop.placeOrder(
      PlaceOrder(userID: customer, items: [(tea, 1)], saga: .choreographed), context: next())
    var mark = next()
    mark.metadata["saga"] = "choreographed"
    try await shop.reserveStock(order: order.orderID, lines: [(tea, 1)], context: mark)
  }

  private mutating func saga(_ event: ProposedEvent) async throws {
    try await log.append(ProposedCommit(context: next(), events: [event]))
  }

  private mutating func next() -> CommitContext {
    commands += 1
    now = now.adding(seconds: 1)
    return CommitContext(
      commandID: CommandID(derivedFrom: "documented day \(commands)"), timestamp: now,
      serviceName: "magasin")
  }
}
