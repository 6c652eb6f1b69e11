import Commerce
import EventSourcing

/// What every event of a saga's stream says, read from its data: this module does not know the
/// sagas themselves.
struct SagaEntry {
  static let category = "sagas"
  static let types: Set<String> = [
    "SagaStarted", "SagaAdvanced", "SagaCompensating", "SagaCompleted", "SagaCompensated",
    "SagaCompensationBlocked",
  ]

  struct Finished {
    var step: String
    var direction: String
    var outcome: String
  }

  var sagaID: String
  var orderID: OrderID
  var definition: String
  var state: String
  /// The step whose outcome this input brought, if it did.
  var finished: Finished?
  /// Of the commands that the saga decided to send.
  var effectIDs: [String]
  var reason: String?
  var code: String?

  init(_ event: Recorded) throws {
    guard event.schema == 1 else { throw UnknownEvent(type: event.type, schema: event.schema) }
    let data = event.data
    sagaID = try data.string("saga_id")
    orderID = try data.orderID()
    definition = try data.string("definition")
    state = try data.string("state")
    finished = try data.objectIfPresent("finished").map {
      Finished(
        step: try $0.string("step"), direction: try $0.string("direction"),
        outcome: try $0.string("outcome"))
    }
    effectIDs = try OutgoingCommand.commands(in: event).map(\.effectID)
    reason = try data.stringIfPresent("reason")
    code = try data.stringIfPresent("code")
  }
}
