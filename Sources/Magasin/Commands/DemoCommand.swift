import ArgumentParser
import Commerce
import Logging

/// `magasin demo`: products, stock and customers to try things with.
struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Add the demo data: customers, products 101 to 120, stock. Twice is the same as once."
  )

  @OptionGroup var database: DatabaseOptions

  @Option(help: "Add so many products more, 1001 and on, without stock.")
  var products: Int64 = 0

  func validate() throws {
    guard products >= 0 else { throw ValidationError("--products is 0 or more.") }
  }

  func run() async throws {
    let log = try await database.openLog(Logger(label: "demo"))
    let added = try await DemoData.add(to: Shop(log: log), moreProducts: products)
    print(added == 0 ? "The demo data is there already." : "Added \(added) demo records.")
  }
}
