import Commerce
import EventSourcing
import Testing

@testable import Sagas

private let charging: [Happening] = [.placed, .reserved]

/// Rules 4, 5, 7, 8 and 13: what a saga does when nothing happens in time, and when a person acts.
@Suite("Saga timers and operators")
struct SagaTimerTests {
  struct Deadline: Sendable {
    var given: [Happening]
    var seconds: Int64
    var summary: String
    var code: String

    init(_ given: [Happening], _ seconds: Int64, _ summary: String, _ code: String) {
      self.given = given
      self.seconds = seconds
      self.summary = summary
      self.code = code
    }
  }

  @Test(
    "rule 5: at a step's deadline what may have been done is undone",
    arguments: [
      Deadline([.placed], 60, "releasing: ReleaseStock", "RESERVATION_TIMEOUT"),
      Deadline(
        [.placed, .pause(seconds: 850), .reserved], 60, "releasing: ReleaseStock",
        "HOLD_TIMEOUT"),
      Deadline(charging, 90, "refunding: RefundPayment", "PAYMENT_TIMEOUT"),
      Deadline(
        charging + [.cancelRequested], 90, "refunding: RefundPayment", "CUSTOMER_REQUEST"),
    ])
  func deadlines(_ deadline: Deadline) {
    let (given, seconds) = (deadline.given, deadline.seconds)
    let (summary, code) = (deadline.summary, deadline.code)
    let early = Story(given)
    #expect(early.wait(seconds: seconds - 1) == nil)
    let story = Story(given)
    let event = story.wait(seconds: seconds)
    #expect(event?.summary == summary)
    #expect(event?.finished?.outcome == .timedOut)
    #expect(story.state.failure?.code == code)
  }

  @Test("rule 8: a timer of an older epoch does nothing, nor one that fires before it is due")
  func epochs() throws {
    let story = Story([.placed])
    let first = try #require(story.state.timer)
    #expect(story.fire(epoch: first.epoch) == nil)
    story.take(.reserved)
    let second = try #require(story.state.timer)
    #expect(second.epoch > first.epoch)
    #expect(story.wait(seconds: 80) == nil)
    #expect(story.fire(epoch: first.epoch) == nil)
    #expect(story.stage == .charging)
  }

  @Test("rule 8: a saga that has ended has no timer", arguments: TransitionTableTests.rows)
  func ended(_ row: TransitionTableTests.Row) {
    let story = row.story
    if story.stage.isTerminal { #expect(story.state.timer == nil) }
  }

  @Test(
    "rule 12: whoever has not ended has a pending command, a live timer, or a blocked undo",
    arguments: TransitionTableTests.rows)
  func nothingHangs(_ row: TransitionTableTests.Row) {
    let story = row.story
    guard !story.stage.isTerminal, story.stage != .notStarted else { return }
    #expect(
      !OrderFulfilment.pendingCommands(of: story.state).isEmpty || story.state.timer != nil)
  }

  @Test("a message that nobody answers does not keep the order open")
  func notification() {
    let story = Story(charging + [.paid, .confirmed])
    #expect(story.wait(seconds: 599) == nil)
    #expect(story.wait(seconds: 1)?.kind == .completed)
  }

  @Test("rule 14: a hold that would not outlive the payment is extended, from then on")
  func extendsHold() throws {
    let story = Story([.placed, .pause(seconds: 850)])
    let reserve = try #require(story.commands.last)
    #expect(try reserve.payload.timestamp("expires_at") == Happening.noon.adding(seconds: 900))
    let extend = try #require(story.take(.reserved)?.commands.first)
    #expect(extend.name == "ExtendHold")
    #expect(try extend.payload.timestamp("until") == story.now.adding(seconds: 900))
    #expect(story.take(.extended)?.summary == "charging: TakePayment")
  }

  @Test("rule 14: an extension that is answered too late to pay is undone")
  func extendsHoldTooLate() {
    let story = Story([.placed, .pause(seconds: 850), .reserved, .pause(seconds: 800)])
    let event = story.take(.extended)
    #expect(event?.summary == "releasing: ReleaseStock")
    #expect(event?.failure?.code == "HOLD_EXPIRED")
  }

  @Test("rule 7: a payment by hand goes back before a blocked release is tried again")
  func paidByHandWhenBlocked() {
    let story = Story([.placed, .cancelRequested, .reserved, .refused("ReleaseStock")])
    #expect(story.stage == .compensationBlocked)
    #expect(story.take(.payingByHand)?.summary == "refunding: RefundPayment")
    // Nobody answers: a person is told of both, and both are tried again.
    #expect(story.wait(seconds: 119) == nil)
    #expect(story.wait(seconds: 1)?.summary == "compensation_blocked")
    #expect(OrderFulfilment.task(of: story.state)?.contains("RefundPayment") == true)
    #expect(OrderFulfilment.task(of: story.state)?.contains("ReleaseStock") == true)
    #expect(
      story.wait(seconds: 60)?.summary == "compensation_blocked: RefundPayment, ReleaseStock")
  }

  @Test("rule 7: a payment by hand goes back before a release under way is tried again")
  func paidByHandWhenReleasing() {
    let story = Story([.placed, .cancelRequested, .reserved])
    #expect(story.take(.payingByHand)?.summary == "releasing: RefundPayment")
    #expect(story.take(.act(.retry))?.summary == "releasing: RefundPayment")
    #expect(story.take(.refunded)?.summary == "releasing")
    #expect(story.take(.act(.retry))?.summary == "releasing: ReleaseStock")
  }

  @Test("rule 7: of two blocked undos the second still has to end")
  func twoBlocked() throws {
    let story = Story(
      charging + [.possiblyCharged, .refused("RefundPayment"), .refused("ReleaseStock")])
    let due = try #require(story.state.timer?.due)
    let pause = (due.millisecondsSinceEpoch - story.now.millisecondsSinceEpoch) / 1000
    #expect(story.wait(seconds: pause)?.commands.map(\.name) == ["RefundPayment", "ReleaseStock"])
    #expect(story.take(.released)?.summary == "compensation_blocked")
    #expect(story.take(.refunded)?.summary == "cancelling_order: CancelOrder")
    #expect(story.take(.cancelled)?.kind == .compensated)
  }

  @Test("rule 7: an undo without an answer is blocked, the others go on, retries are slow")
  func slowRetries() throws {
    let story = Story(charging + [.possiblyCharged])
    #expect(story.wait(seconds: 120)?.summary == "releasing: ReleaseStock")
    #expect(story.take(.released)?.summary == "compensation_blocked")
    var pauses: [Int64] = []
    for _ in 0..<12 {
      let due = try #require(story.state.timer?.due)
      let pause = (due.millisecondsSinceEpoch - story.now.millisecondsSinceEpoch) / 1000
      let event = story.wait(seconds: pause)
      #expect(event?.kind == .retried)
      #expect(event?.commands.map(\.name) == ["RefundPayment"])
      pauses.append(pause)
    }
    #expect(pauses.allSatisfy { (15...3600).contains($0) })
    #expect((pauses.last ?? 0) >= 1800)
    let effects = story.commands.map(\.effectID).filter { $0.contains("/pay/undo/") }
    #expect(Set(effects).count == 1)
    #expect(story.take(.refunded)?.summary == "cancelling_order: CancelOrder")
    #expect(story.take(.cancelled)?.kind == .compensated)
  }

  @Test("rule 6: a release that found nothing to release counts, by its tombstone")
  func tombstone() {
    let story = Story([.placed])
    story.wait(seconds: 60)
    #expect(story.take(.barred)?.summary == "cancelling_order: CancelOrder")
    // The reservation that was late is refused, which changes nothing.
    #expect(story.take(.refused("ReserveStock")) == nil)
    #expect(story.take(.cancelled)?.kind == .compensated)
  }

  // MARK: Rule 13

  @Test("an operator has the commands sent again that a saga waits for, and no others")
  func retry() throws {
    let story = Story(charging)
    let event = try #require(story.take(.act(.retry)))
    #expect(event.summary == "charging: TakePayment")
    #expect(event.act?.reason == "it must be")
    #expect(event.commands.map(\.effectID) == ["\(Happening.order.id)/pay/forward/1"])
    #expect(Story(charging + [.paid, .confirmed, .notified]).refusal(of: .retry) != nil)
  }

  @Test("an operator turns a saga back, once")
  func force() {
    let story = Story(charging)
    #expect(story.take(.act(.forceCompensation))?.summary == "cancelling")
    #expect(story.state.failure == SagaFailure(code: "OPERATOR", reason: "it must be"))
    // Not to be waited for any longer.
    #expect(story.take(.act(.forceCompensation))?.summary == "refunding: RefundPayment")
    #expect(story.refusal(of: .forceCompensation) != nil)
  }

  @Test("an operator cannot turn a saga back past a confirmation that may still come")
  func forceWhileConfirming() {
    let story = Story(charging + [.paid])
    #expect(story.take(.act(.forceCompensation))?.summary == "cancelling")
    #expect(story.refusal(of: .forceCompensation) != nil)
    #expect(story.take(.confirmed)?.summary == "refunding: RefundPayment")
  }

  @Test("an operator takes an undo for done on evidence; what the order depends on is not skipped")
  func skip() {
    let story = Story(charging + [.declined, .refused("ReleaseStock")])
    let event = story.take(.act(.skip))
    #expect(event?.summary == "cancelling_order: CancelOrder")
    #expect(event?.finished?.outcome == .skipped)
    #expect(Story(charging).refusal(of: .skip) != nil)
    #expect(Story(charging).refusal(of: .resume) != nil)
    #expect(Story().refusal(of: .retry) != nil)
  }
}
