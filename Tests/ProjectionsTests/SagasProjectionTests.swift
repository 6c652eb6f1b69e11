import Commerce
import EventSourcing
import Testing

@testable import Projections

@Suite("sagas")
struct SagasProjectionTests {
  private func row(_ history: History) async throws -> SagaRow {
    try #require(try await history.row(History.order.sagaID, of: SagasProjection()))
  }

  private func steps(_ row: SagaRow) -> [String] {
    row.steps.map { "\($0.step) \($0.direction) \($0.status)" }
  }

  private func charge(_ history: History) async throws {
    try await history.append(.saga("SagaStarted", "reserving", commands: [("reserve", "forward")]))
    try await history.append(
      .saga(
        "SagaAdvanced", "charging", finished: ("reserve", "forward", "succeeded"),
        commands: [("pay", "forward")]))
  }

  @Test("a saga under way says what it waits for")
  func waiting() async throws {
    let history = History()
    try await charge(history)
    let row = try await row(history)
    let json = row.json
    let correlation = try #require(row.correlationID)
    #expect(
      JSONWriter.text(.object(json)) == """
        {"saga_id":"saga_\(History.order)","order_id":"\(History.order)",\
        "definition":"order-fulfilment.v1","state":"charging","is_ended":false,\
        "waiting_for":"the payment service's answer",\
        "waiting_since":"2026-01-01T00:00:02.000Z","next_timer":null,"suspended":null,\
        "steps":[{"step":"reserve",\
        "direction":"forward","status":"succeeded",\
        "effect_id":"\(History.order)/reserve/forward/1",\
        "requested_at":"2026-01-01T00:00:01.000Z","finished_at":"2026-01-01T00:00:02.000Z",\
        "reason":null},{"step":"pay","direction":"forward","status":"requested",\
        "effect_id":"\(History.order)/pay/forward/1",\
        "requested_at":"2026-01-01T00:00:02.000Z","finished_at":null,"reason":null}],\
        "reason":null,"code":null,"attempts":2,"history":[{"event":"SagaStarted",\
        "state":"reserving","timestamp":"2026-01-01T00:00:01.000Z","position":1},\
        {"event":"SagaAdvanced","state":"charging","timestamp":"2026-01-01T00:00:02.000Z",\
        "position":2}],"started_at":"2026-01-01T00:00:01.000Z",\
        "updated_at":"2026-01-01T00:00:02.000Z",\
        "correlation_id":"\(correlation)"}
        """)
  }

  @Test("a completed saga waits for nothing")
  func completed() async throws {
    let history = History()
    try await charge(history)
    try await history.append([
      .saga(
        "SagaAdvanced", "confirming", finished: ("pay", "forward", "succeeded"),
        commands: [("confirm", "forward")]),
      .saga(
        "SagaAdvanced", "notifying", finished: ("confirm", "forward", "succeeded"),
        commands: [("notify", "forward")]),
      .saga("SagaCompleted", "completed", finished: ("notify", "forward", "succeeded")),
    ])
    let row = try await row(history)
    #expect(row.isEnded)
    #expect(row.waitingFor == nil)
    #expect(row.steps.allSatisfy { $0.status == "succeeded" })
    #expect(row.attempts == 4)
    #expect(row.history.count == 5)
  }

  @Test("a compensated saga shows what failed, what was undone, and why")
  func compensated() async throws {
    let history = History()
    try await charge(history)
    let failure = (code: "CARD_DECLINED", reason: "the card was declined")
    try await history.append(
      .saga(
        "SagaCompensating", "releasing", finished: ("pay", "forward", "failed"),
        commands: [("reserve", "undo")], failure: failure))
    #expect(try await row(history).waitingFor == "the reserved stock to be released")
    try await history.append(
      .saga(
        "SagaCompensating", "cancelling_order", finished: ("reserve", "undo", "succeeded"),
        commands: [("place", "undo")], failure: failure))
    try await history.append(
      .saga(
        "SagaCompensated", "compensated", finished: ("place", "undo", "succeeded"),
        failure: failure))
    let row = try await row(history)
    #expect(row.isEnded)
    #expect(row.code == "CARD_DECLINED")
    #expect(
      steps(row) == [
        "reserve forward succeeded", "pay forward failed", "reserve undo succeeded",
        "place undo succeeded",
      ])
    #expect(row.steps[1].reason == "the card was declined")
  }

  @Test("a blocked saga waits for an operator and names the undo, and the first reason stays")
  func blocked() async throws {
    let history = History()
    try await charge(history)
    try await history.append(
      .saga(
        "SagaCompensating", "cancelling", failure: ("CUSTOMER_REQUEST", "changed my mind")))
    #expect(
      try await row(history).waitingFor
        == "the outcome of the payment, which then has to be undone")
    try await history.append(
      .saga(
        "SagaCompensating", "refunding", finished: ("pay", "forward", "succeeded"),
        commands: [("pay", "undo")], failure: ("CUSTOMER_REQUEST", "changed my mind")))
    try await history.append(
      .saga(
        "SagaCompensationBlocked", "compensation_blocked", finished: ("pay", "undo", "refused"),
        failure: ("UNDO_REFUSED", "no such account")))
    let row = try await row(history)
    #expect(row.isEnded == false)
    #expect(row.code == "CUSTOMER_REQUEST")
    #expect(row.waitingFor == "an operator: the refund was refused (no such account)")
  }

  @Test("the outcome of a step that was never asked for is a step of its own")
  func byHand() async throws {
    let history = History()
    try await history.append(.saga("SagaStarted", "reserving", commands: [("reserve", "forward")]))
    try await history.append(
      .saga("SagaAdvanced", "reserving", finished: ("pay", "forward", "succeeded")))
    let row = try await row(history)
    #expect(steps(row) == ["reserve forward requested", "pay forward succeeded"])
    #expect(row.steps[1].effectID == nil)
  }

  @Test("a completed saga that turns back is open again")
  func reopened() async throws {
    let history = History()
    try await history.append(.saga("SagaCompleted", "completed"))
    try await history.append(
      .saga("SagaCompensating", "refunding", commands: [("pay", "undo")]))
    #expect(try await row(history).isEnded == false)
  }
}
