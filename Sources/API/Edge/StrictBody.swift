import EventSourcing
import Hummingbird
import NIOCore

/// Reads request bodies: at most 64 KiB, one JSON object, no unknown field.
///
/// The content type is not required to be JSON, since `curl -d` claims a form; what the body holds
/// decides. Only `multipart/…` is refused by name, so that an upload fails with a clear answer.
enum StrictBody {
  static let bytesMax = 65_536
  /// From the first part of a body to its last. (Between two parts the server's idle limit holds.)
  static let timeMax: Duration = .seconds(10)

  /// - Parameters:
  ///   - known: the fields that the body may have; any other one is refused by name.
  ///   - mayBeEmpty: no body counts as an empty object.
  /// - Throws: ``Problem``, or ``ConnectionFailure`` when the body cannot be read to its end.
  static func fields(
    of request: Request, known: Set<String>, mayBeEmpty: Bool = false
  ) async throws -> Fields {
    if let type = request.headers.value(of: .contentType), type.lowercased().hasPrefix("multipart/")
    {
      throw Problem(.unsupportedMediaType, "send the body as application/json")
    }
    let bytes = try await bytes(of: request)
    if bytes.isEmpty, mayBeEmpty { return [:] }
    guard !bytes.isEmpty else { throw Problem(.malformedJSON, "the body is empty") }
    guard case .object(let fields) = try JSONReader.value(from: bytes) else {
      throw Problem(.malformedJSON, "the body must be a JSON object")
    }
    try fields.refuseUnknownFields(known: known)
    return fields
  }

  private static func bytes(of request: Request) async throws -> [UInt8] {
    if let length = request.headers.value(of: .contentLength).flatMap({ Int($0) }),
      length > bytesMax
    {
      throw tooLarge
    }
    do {
      var bytes: [UInt8] = []
      var deadline: ContinuousClock.Instant?
      for try await part in request.body {
        guard bytes.count + part.readableBytes <= bytesMax else { throw tooLarge }
        bytes.append(contentsOf: part.readableBytesView)
        guard let limit = deadline else {
          deadline = .now + timeMax
          continue
        }
        if .now > limit {
          throw Problem(.requestTimeout, "a body arrives within \(timeMax.components.seconds) s")
        }
      }
      return bytes
    } catch let problem as Problem {
      throw problem
    } catch {
      throw ConnectionFailure(cause: error)
    }
  }

  private static var tooLarge: Problem {
    Problem(.bodyTooLarge, "a body holds at most \(bytesMax) bytes")
  }
}

/// The request broke off: there is nobody to answer, so the server is told the cause as it is.
struct ConnectionFailure: Error {
  var cause: any Error
}
