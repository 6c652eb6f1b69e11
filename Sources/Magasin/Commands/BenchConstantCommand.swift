import ArgumentParser
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

extension BenchCommand {
  /// `magasin bench constant`: what HTTP alone costs.
  struct Constant: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Answer GET /cqrs/queries/orders/{order_id} with always the same JSON.",
      discussion: "A bare hummingbird with the HTTP configuration of `magasin serve`.")

    @Option(help: "The port to listen on, at 127.0.0.1.")
    var port: Int

    @Option(help: "Bytes of the JSON.")
    var bytes: Int

    /// Around the text that fills it up.
    private static let (head, tail) = (#"{"data":""#, #""}"#)

    func validate() throws {
      guard (1...65535).contains(port) else { throw ValidationError("--port is 1 to 65535.") }
      let least = Self.head.utf8.count + Self.tail.utf8.count
      guard (least...1_000_000).contains(bytes) else {
        throw ValidationError("--bytes is \(least) to 1000000.")
      }
    }

    func run() async throws {
      let filled = bytes - Self.head.utf8.count - Self.tail.utf8.count
      let json = ByteBuffer(
        string: Self.head + String(repeating: "x", count: filled) + Self.tail)
      let router = Router()
      router.get("/cqrs/queries/orders/{order_id}") { _, _ in
        Response(
          status: .ok, headers: [.contentType: "application/json"],
          body: ResponseBody(byteBuffer: json))
      }
      let application = Application(
        router: router, server: .http1(configuration: Server.connections),
        configuration: ApplicationConfiguration(
          address: .hostname("127.0.0.1", port: port), serverName: "magasin"),
        logger: Logger(label: "bench"))
      try await application.runService()
    }
  }
}
