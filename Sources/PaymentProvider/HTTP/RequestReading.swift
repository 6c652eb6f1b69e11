import EventSourcing
import HTTPTypes
import Hummingbird

extension Request {
  private static let bodyBytesMax = 64 * 1024
  /// From the first part of a body to its last. (Between two parts the server's idle limit holds.)
  private static let bodyWaitMax = Duration.seconds(10)

  /// The body as a JSON object that holds no fields but `known`. An empty body is an empty object.
  func fields(known: Set<String>) async throws -> Fields {
    let bytes = try await bodyBytes()
    guard !bytes.isEmpty else { return Fields() }
    guard case .object(let fields) = try JSONReader.value(from: bytes) else {
      throw Problem(.badRequest, .malformedBody, "the body must be a JSON object")
    }
    try fields.refuseUnknownFields(known: known)
    return fields
  }

  private func bodyBytes() async throws -> [UInt8] {
    if let length = headers[.contentLength].flatMap({ Int($0) }), length > Self.bodyBytesMax {
      throw Self.tooLarge
    }
    var bytes: [UInt8] = []
    var deadline: ContinuousClock.Instant?
    for try await part in body {
      guard bytes.count + part.readableBytes <= Self.bodyBytesMax else { throw Self.tooLarge }
      bytes.append(contentsOf: part.readableBytesView)
      if let deadline, .now > deadline {
        throw Problem(.requestTimeout, .requestTimeout, "the body did not end within 10 s")
      }
      deadline = deadline ?? .now + Self.bodyWaitMax
    }
    return bytes
  }

  private static let tooLarge = Problem(
    .contentTooLarge, .bodyTooLarge, "a body may hold \(bodyBytesMax) bytes")

  /// The idempotency key, 1 to 128 visible ASCII characters; nil when there is none.
  func idempotencyKey() throws -> String? {
    let values = headers[values: .idempotencyKey]
    guard let key = values.first else { return nil }
    guard values.count == 1, Self.isKey(key) else {
      throw FieldError(
        "Idempotency-Key", .invalid("must be one key of 1 to 128 visible characters"))
    }
    return key
  }

  func requiredIdempotencyKey() throws -> String {
    guard let key = try idempotencyKey() else {
      throw Problem(
        .badRequest, .idempotencyKeyMissing,
        "a charge without a key could be made twice: send the header Idempotency-Key",
        members: ["field": "Idempotency-Key"])
    }
    return key
  }

  static func isKey(_ text: String) -> Bool {
    (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
  }
}
