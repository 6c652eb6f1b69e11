import Commerce
import EventSourcing
import Testing

@testable import Sagas

/// The rules of SAGAS.md that the fold itself must keep.
@Suite("Saga rules")
struct SagaRulesTests {
  static let success: [Happening] = [.placed, .reserved, .paid, .confirmed, .notified]

  // MARK: Rule 1

  @Test("rule 1: an input's event carries its position, the transition and the commands")
  func oneEventPerInput() throws {
    let story = Story([.placed])
    let event = try #require(story.take(.reserved))
    #expect(event.input == SagaEvent.Input(position: Position(2), type: "StockReserved"))
    #expect(event.finished == SagaEvent.Finished(.reserve, .forward, .succeeded))
    #expect(event.stage == .charging)
    #expect(event.commands.map(\.name) == ["TakePayment"])
    #expect(event.data["state"] == "charging")
    #expect(event.data["definition"] == "order-fulfilment.v2")
    #expect(event.data["saga_id"] == .string("saga_\(Happening.order.id)"))
  }

  @Test(
    "rule 1: a replay of the recorded events gives the same state, whatever has happened",
    arguments: TransitionTableTests.rows)
  func replay(_ row: TransitionTableTests.Row) throws {
    for happening in Happening.all {
      let story = Story(row.given + [happening], under: row.definition)
      let decoded = try story.events.map {
        try SagaEvent(type: $0.type, schema: $0.schema, data: $0.data)
      }
      #expect(decoded == story.events)
      let start = Story(under: row.definition).state
      #expect(OrderFulfilment.state(after: decoded, from: start) == story.state)
    }
  }

  @Test("an event of a later schema or another type is not guessed at")
  func unknownEvents() {
    let data = Story([.placed]).events[0].data
    #expect(throws: UnknownEvent.self) {
      try SagaEvent(type: "SagaStarted", schema: 3, data: data)
    }
    #expect(throws: UnknownEvent.self) {
      try SagaEvent(type: "SagaWoken", schema: 1, data: data)
    }
  }

  // MARK: Rule 2

  @Test("rule 2: an effect id is order, step, direction and 1")
  func effectIDs() {
    let order = Happening.order.id
    let story = Story(Self.success + [.cancelRequested, .refunded, .released, .cancelled])
    #expect(
      story.commands.map(\.effectID) == [
        "\(order)/reserve/forward/1", "\(order)/pay/forward/1", "\(order)/confirm/forward/1",
        "\(order)/notify/forward/1", "\(order)/pay/undo/1", "\(order)/reserve/undo/1",
        "\(order)/place/undo/1",
      ])
  }

  @Test("rule 2: whatever comes in whatever order, no effect is asked for twice")
  func effectsOnce() {
    for seed in UInt64(1)...3000 {
      var random = SeededGenerator(seed: seed)
      let story = Story([.placed])
      for _ in 0..<14 {
        if let happening = Happening.all.randomElement(using: &random) { story.take(happening) }
      }
      let effects = story.commands.map(\.effectID)
      let history = story.events.map { "\($0.input.type) -> \($0.summary)" }
      #expect(Set(effects).count == effects.count, "seed \(seed): \(history)")
      let ends = story.events.filter { $0.kind == .compensated }
      #expect(ends.count <= 1, "seed \(seed)")
    }
  }

  @Test("the commands carry what their receivers need")
  func payloads() {
    let order = Happening.order
    let story = Story(Self.success + [.cancelRequested, .refunded, .released])
    let id = Value.string(order.id.text)
    #expect(
      story.commands.map(\.payload) == [
        [
          "order_id": id,
          "lines": [["product_id": 1, "quantity": 2], ["product_id": 2, "quantity": 1]],
          "store_id": 3, "expires_at": "2026-01-01T00:15:00.000Z",
        ],
        [
          "order_id": id, "user_id": 7,
          "amount": .decimal(FixedDecimal(unscaled: 59_997, scale: 2)), "currency": "CAD",
          "payment_method": "card", "deadline": "2026-01-01T00:01:00.000Z",
        ],
        ["order_id": id],
        [
          "order_id": id, "user_id": 7, "recipient": "ada@example.com",
          "subject": .string("Your order \(order.id) is confirmed"),
        ],
        ["order_id": id, "reason": "changed my mind"],
        ["order_id": id, "products": [1, 2], "reason": "changed my mind"],
        ["order_id": id, "reason": "changed my mind", "code": "CUSTOMER_REQUEST"],
      ])
  }

  // MARK: Rule 4

  @Test(
    "rule 4: what the domain refuses is compensated at once, with a code",
    arguments: [
      ([Happening.placed], "ReserveStock", "RESERVATION_REFUSED"),
      ([.placed, .reserved], "TakePayment", "PAYMENT_REFUSED"),
      ([.placed, .reserved, .paid], "ConfirmOrder", "CONFIRMATION_REFUSED"),
    ])
  func refusals(_ given: [Happening], _ command: String, _ code: String) {
    let story = Story(given)
    let event = story.take(.refused(command))
    #expect(event?.kind == .compensating)
    #expect(event?.finished?.outcome == .refused)
    #expect(event?.failure == SagaFailure(code: code, reason: "the domain said no"))
  }

  @Test(
    "the order is cancelled with the code of what went wrong first",
    arguments: [
      ([Happening.placed, .unavailable], "OUT_OF_STOCK"),
      ([.placed, .reserved, .declined, .released], "CARD_DECLINED"),
      ([.placed, .reserved, .possiblyCharged, .voided, .released], "PAYMENT_UNAVAILABLE"),
      ([.placed, .reserved, .cancelRequested, .declined, .released], "CUSTOMER_REQUEST"),
      ([.placed, .reserved, .declined, .refused("ReleaseStock"), .released], "CARD_DECLINED"),
    ])
  func codes(_ happenings: [Happening], _ code: String) {
    let cancel = Story(happenings).commands.last
    #expect(cancel?.name == "CancelOrder")
    #expect(cancel?.payload["code"] == .string(code))
  }

  // MARK: Rule 7

  @Test("rule 7: compensation is refund, release, cancel, each after the one before is done")
  func reverseOrder() {
    let story = Story(Self.success)
    #expect(story.take(.cancelRequested)?.summary == "refunding: RefundPayment")
    #expect(story.take(.released) == nil)
    #expect(story.take(.cancelled) == nil)
    #expect(story.take(.refunded)?.summary == "releasing: ReleaseStock")
    #expect(story.take(.cancelled) == nil)
    #expect(story.take(.released)?.summary == "cancelling_order: CancelOrder")
    #expect(story.take(.cancelled)?.kind == .compensated)
  }

  @Test("rule 7: a refused undo blocks, the other undos go on, and nothing claims success")
  func blocked() {
    let story = Story(Self.success + [.cancelRequested])
    let refusal = story.take(.refused("RefundPayment"))
    #expect(refusal?.kind == .compensationBlocked)
    #expect(refusal?.summary == "releasing: ReleaseStock")
    #expect(refusal?.failure?.reason == "the domain said no")
    let end = story.take(.released)
    #expect(end?.kind == .compensationBlocked)
    #expect(end?.stage == .compensationBlocked)
    #expect(
      end?.failure
        == SagaFailure(code: "UNDO_REFUSED", reason: "RefundPayment: the domain said no"))
    #expect(!story.stage.isTerminal)
    // The order is not called cancelled before its money is back.
    #expect(story.take(.refunded)?.summary == "cancelling_order: CancelOrder")
    let last = story.take(.cancelled)
    #expect(last?.kind == .compensated)
    #expect(last?.failure?.code == "CUSTOMER_REQUEST")
  }

  @Test("rule 7: two refused undos are both waited for")
  func blockedTwice() {
    let story = Story(Self.success + [.cancelRequested, .refused("RefundPayment")])
    #expect(story.take(.refused("ReleaseStock"))?.stage == .compensationBlocked)
    #expect(story.take(.released)?.stage == .compensationBlocked)
    #expect(story.take(.voided)?.summary == "cancelling_order: CancelOrder")
    #expect(story.take(.cancelled)?.stage == .compensated)
  }

  @Test("rule 5: a charge of unknown outcome is undone first, then the stock, then the order")
  func possiblyCharged() {
    let story = Story([.placed, .reserved])
    #expect(story.take(.possiblyCharged)?.summary == "refunding: RefundPayment")
    #expect(story.take(.released) == nil)
    #expect(story.take(.voided)?.summary == "releasing: ReleaseStock")
    #expect(story.take(.released)?.summary == "cancelling_order: CancelOrder")
    #expect(story.take(.cancelled)?.kind == .compensated)
  }

  @Test("a charge that was voided early does not delay the end")
  func voidedEarly() {
    let story = Story([.placed, .reserved, .possiblyCharged, .voided, .released])
    #expect(story.take(.cancelled)?.kind == .compensated)
  }

  @Test("the message about an order undoes nothing, sent or not")
  func notification() {
    let story = Story([.placed, .reserved, .paid, .confirmed])
    #expect(story.take(.notNotified)?.kind == .completed)
    #expect(story.state.standing.isSuperset(of: [.reserve, .pay]))
  }

  // MARK: Rule 9

  @Test("rule 9: what was taken before is not taken again")
  func repetition() {
    let story = Story(Self.success)
    let state = story.state
    for position in Int64(1)...5 {
      for happening in Happening.all {
        guard case .event = happening.kind else { continue }
        #expect(story.take(happening.input(at: position)) == nil)
      }
    }
    #expect(story.state == state)
  }

  @Test("rule 9: the events of one commit advance a saga once")
  func sameCommit() {
    let story = Story([.placed])
    #expect(story.take(.reserved)?.stage == .charging)
    #expect(story.take(.reserved) == nil)
    story.take(.declined)
    #expect(story.take(.released)?.stage == .cancellingOrder)
    #expect(story.take(.released) == nil)
  }

  @Test("an order without a saga has none, whatever happens to its stock and money")
  func withoutSaga() {
    for happening in Happening.all where happening != .placed {
      let story = Story()
      #expect(story.take(happening) == nil)
      #expect(story.state == OrderFulfilment.initial)
    }
  }

  // MARK: Rule 10

  @Test(
    "rule 10: cancelled at any time, twice is the same as once",
    arguments: TransitionTableTests.rows)
  func cancelTwice(_ row: TransitionTableTests.Row) {
    let once = Story(row.given + [.cancelRequested], under: row.definition)
    let twice = Story(row.given + [.cancelRequested], under: row.definition)
    #expect(twice.take(.cancelRequested) == nil)
    #expect(twice.state == once.state)
  }

  @Test("rule 10: a payment in flight is waited for, and refunded when it went through")
  func cancelInFlight() {
    let story = Story([.placed, .reserved])
    #expect(story.take(.cancelRequested)?.summary == "cancelling")
    #expect(story.take(.paid)?.summary == "refunding: RefundPayment")
  }

  @Test("paid by hand before the stock was there, an order is confirmed without a second charge")
  func paidByHand() {
    let story = Story([.placed, .payingByHand, .paid, .reserved, .confirmed, .notified])
    #expect(story.stage == .completed)
    #expect(
      story.commands.map(\.name) == ["ReserveStock", "ConfirmOrder", "RequestNotification"])
  }
}
