import EventSourcing
import Foundation
import HTTPTypes
import Hummingbird

/// What a command's headers say: who asks, and whether it was asked before.
struct CommandRequest {
  let context: CommitContext

  var commandID: CommandID { context.commandID }

  /// - Parameters:
  ///   - route: names the command together with the caller's key, as in
  ///     `POST /cqrs/commands/orders`: the same key on another route is another command.
  ///   - resource: the id in the path, if any: part of what must be the same under the same key.
  init(
    _ request: Request, _ context: APIContext, route: String, resource: String = "",
    body: Fields, serviceName: String
  ) throws {
    let now = Timestamp.now
    let key = try Self.idempotencyKey(request)
    self.context = CommitContext(
      commandID: key.map { CommandID(derivedFrom: "\(route)\n\($0)") } ?? .random(at: now),
      fingerprint: key.map { _ in Self.fingerprint(resource: resource, body: body) },
      correlationID: request.headers.value(of: .correlationID).flatMap { UUID(uuidString: $0) },
      timestamp: now, serviceName: serviceName,
      metadata: Self.metadata(request, context))
  }

  private static func idempotencyKey(_ request: Request) throws(FieldError) -> String? {
    guard let key = request.headers.value(of: .idempotencyKey) else { return nil }
    guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
    else {
      throw FieldError("Idempotency-Key", .invalid("must be 1 to 255 printable ASCII characters"))
    }
    return key
  }

  /// Two bodies that differ only in the order of their keys are the same request.
  private static func fingerprint(resource: String, body: Fields) -> String {
    CommandID(derivedFrom: resource + "\n" + JSONWriter.text(.object(body.sorted))).description
  }

  static func metadata(_ request: Request, _ context: APIContext) -> Fields {
    var entries: [Fields.Entry] = []
    if let address = context.sourceIP {
      entries.append(.init(key: "source_ip", value: .string(address)))
    }
    if let agent = request.headers.value(of: .userAgent) {
      entries.append(.init(key: "user_agent", value: .string(String(agent.prefix(200)))))
    }
    if let trace = request.headers.value(of: .traceParent).flatMap(traceID) {
      entries.append(.init(key: "trace_id", value: .string(trace)))
    }
    return Fields(uniqueEntries: entries)
  }

  /// The trace id of a W3C `traceparent`: `00-<32 hex digits>-<16>-<2>`.
  private static func traceID(_ header: String) -> String? {
    let parts = header.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count >= 4, parts[0].count == 2, parts[1].count == 32,
      parts[1].allSatisfy({ $0.isHexDigit }), parts[1].contains(where: { $0 != "0" })
    else { return nil }
    return parts[1].lowercased()
  }
}

extension Fields {
  /// The same object with the keys in order, at every level.
  fileprivate var sorted: Fields {
    Fields(
      uniqueEntries: entries.sorted { $0.key < $1.key }.map {
        Entry(key: $0.key, value: $0.value.sorted)
      })
  }
}

extension Value {
  fileprivate var sorted: Value {
    switch self {
    case .object(let fields): .object(fields.sorted)
    case .array(let values): .array(values.map(\.sorted))
    default: self
    }
  }
}
