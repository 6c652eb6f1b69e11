import EventSourcing

/// Whether this process should be sent requests, and what was looked at to know.
public struct ReadinessReport: Sendable {
  public struct Check: Sendable {
    /// As in `mongodb`, `projection orders`.
    public var name: String
    public var isReady: Bool
    /// What was seen, for a person. It is shown to anybody: no addresses, no credentials.
    public var detail: String

    public init(name: String, isReady: Bool, detail: String) {
      self.name = name
      self.isReady = isReady
      self.detail = detail
    }
  }

  public var checks: [Check]

  public init(checks: [Check]) { self.checks = checks }

  public var isReady: Bool { checks.allSatisfy(\.isReady) }
}

extension ReadinessReport {
  func value(service: String) -> Value {
    [
      "status": .string(isReady ? "ready" : "not_ready"), "service": .string(service),
      "checks": .array(
        checks.map {
          [
            "name": .string($0.name), "status": .string($0.isReady ? "ready" : "not_ready"),
            "detail": .string($0.detail),
          ]
        }),
      "timestamp": .string(Timestamp.now.iso8601),
    ]
  }
}
