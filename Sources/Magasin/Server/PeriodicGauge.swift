import ServiceLifecycle

/// Something that is looked at every few seconds, and not at the moment of a scrape: it costs a look
/// into the database.
protocol PeriodicGauge: Service, Sendable {
  func update() async
}

extension PeriodicGauge {
  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        await update()
        try? await Task.sleep(for: .seconds(5))
      }
    }
  }
}
