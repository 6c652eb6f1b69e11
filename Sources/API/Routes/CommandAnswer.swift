import EventSourcing
import HTTPTypes
import Hummingbird

/// The envelope of a command that was accepted.
struct CommandAnswer {
  var commandID: CommandID
  var message: String
  var data: Fields
  /// Where a reader must stand to see what the command did.
  var position: Position?
  /// Where the outcome can be followed.
  var location: String?
  var status: HTTPResponse.Status = .accepted
  /// The seconds of `Prefer: wait` that were honoured.
  var waited: Int?

  var response: Response {
    var headers = HTTPFields()
    if let location { headers[.location] = location }
    if let waited { headers[.preferenceApplied] = "wait=\(waited)" }
    return .json(
      .object(
        Fields(uniqueEntries: [
          .init(key: "success", value: true),
          .init(key: "command_id", value: .string(commandID.description)),
          .init(key: "message", value: .string(message)),
          .init(key: "data", value: .object(data)),
          .init(key: "error", value: .null),
        ])),
      status: status, position: position, headers: headers)
  }
}
