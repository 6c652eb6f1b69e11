import Logging

/// A `StreamLogHandler` that formats metadata when a line is written. It does so itself whenever
/// metadata is set, and the server sets the request's id for every request.
struct FormattingOnDemand: LogHandler {
  private let handler: StreamLogHandler
  var logLevel: Logger.Level
  var metadata = Logger.Metadata()

  init(handler: StreamLogHandler, logLevel: Logger.Level) {
    self.handler = handler
    self.logLevel = logLevel
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var handler = handler
    handler.logLevel = logLevel
    handler.metadata = metadata
    handler.log(event: event)
  }
}
