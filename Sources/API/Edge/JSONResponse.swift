import EventSourcing
import HTTPTypes
import Hummingbird

extension Response {
  /// A JSON answer. `position` says up to which position of the log the answer looks back.
  static func json(
    _ value: Value, status: HTTPResponse.Status = .ok, contentType: String = "application/json",
    position: Position? = nil, headers: HTTPFields = [:]
  ) -> Response {
    // Appended, not set: setting looks every header through, and no caller sets these.
    var headers = headers
    headers.append(HTTPField(name: .contentType, value: contentType))
    if let position {
      headers.append(HTTPField(name: .magasinPosition, value: position.description))
    }
    return Response(
      status: status, headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: JSONWriter.bytes(value))))
  }

  static func text(_ text: String, contentType: String) -> Response {
    Response(
      status: .ok, headers: [.contentType: contentType],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}

extension Value {
  /// The text, or null.
  static func optional(_ text: String?) -> Value { text.map(Value.string) ?? .null }
  static func optional(_ number: Int64?) -> Value { number.map(Value.integer) ?? .null }
}
