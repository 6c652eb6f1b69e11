import ArgumentParser
import Foundation
import Logging
import Metrics

/// The executable: one binary for every role and every tool.
@main
struct Magasin: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "magasin",
    abstract: "An event store on MongoDB, with a shop on top.",
    subcommands: [
      ServeCommand.self, PaymentsCommand.self, DevCommand.self, DemoCommand.self,
      DatabaseCommand.self, ProjectionsCommand.self, SagasCommand.self, EventsCommand.self,
      ReplayCommand.self,
      VerifyCommand.self, BenchCommand.self,
    ])

  static func main() async {
    LoggingSystem.bootstrap { label in
      FormattingOnDemand(handler: .standardError(label: label), logLevel: logLevel)
    }
    Memory.tune()
    MetricsSystem.bootstrap(PrometheusRegistry.shared)
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try parseAsRoot(nil)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      exit(withError: error)
    }
  }

  private static var logLevel: Logger.Level {
    ProcessInfo.processInfo.environment["MAGASIN_LOG_LEVEL"]
      .flatMap { Logger.Level(rawValue: $0.lowercased()) } ?? .info
  }
}

/// What stops a command, in one sentence for the person who typed it.
struct CommandFailure: Error, CustomStringConvertible {
  var description: String
}
