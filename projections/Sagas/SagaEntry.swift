import Commerce
import EventSourcing

/// What every event of a saga's stream says, read from its data: this module does not know the
/// sagas themselves.
struct SagaEntry {
  static let category = "sagas"
  static let types: Set<String> = [
    "SagaStarted", "SagaAdvanced", "SagaCompensating", "SagaCompleted", "SagaCompensated",
    "SagaCompensationBlocked", "SagaRetried", "SagaSuspended", "SagaInputParked",
    "SagaInputPassed", "SagaInputSkipped", "SagaResumed",
  ]
  /// What the engine writes into any saga's stream: its state is not this event's doing.
  private static let marks: Set<String> = [
    "SagaSuspended", "SagaInputParked", "SagaInputPassed", "SagaInputSkipped", "SagaResumed",
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
  /// The one timer that is live after it.
  var timer: SagaTimer?
  /// Who did it by hand, and what.
  var act: String?
  var by: String?
  /// And why.
  var actReason: String?
  /// Written by the engine, not by the saga.
  var isMark: Bool
  /// The position of the input that it tells of.
  var input: Int64?

  init(_ event: Recorded) throws {
    guard (1...2).contains(event.schema) else {
      throw UnknownEvent(type: event.type, schema: event.schema)
    }
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
    timer = try SagaTimer(in: event)
    isMark = Self.marks.contains(event.type)
    input = try data.objectIfPresent("input")?.integerIfPresent("position")
    let act = try data.objectIfPresent("act")
    self.act = try act?.stringIfPresent("action")
    by = try act?.stringIfPresent("by") ?? data.stringIfPresent("by")
    actReason = try act?.stringIfPresent("reason") ?? (by == nil ? nil : reason)
  }
}
