import EventSourcing
import Testing

@testable import Sagas

/// Every stage × every input. What a row does not name is ignored.
@Suite("Order fulfilment, state by input")
struct TransitionTableTests {
  struct Row: Sendable, CustomTestStringConvertible {
    var name: String
    var stage: OrderFulfilment.Stage
    var given: [Happening]
    /// The next stage and the commands, by input.
    var expected: [String: String]
    /// The rules that the saga began with.
    var definition = OrderFulfilment.Definition.v1

    var story: Story { Story(given, under: definition) }

    /// The same stage under the rules of version 2, where these inputs lead elsewhere.
    func v2(
      given other: [Happening]? = nil, _ changes: KeyValuePairs<String, String> = [:]
    ) -> Row {
      var row = self
      row.name += ", version 2"
      row.definition = .v2
      row.given = other ?? given
      for (input, result) in changes { row.expected[input] = result }
      return row
    }

    init(
      _ name: String, _ stage: OrderFulfilment.Stage, given: [Happening],
      _ expected: KeyValuePairs<String, String>
    ) {
      self.name = name
      self.stage = stage
      self.given = given
      self.expected = Dictionary(expected.map { ($0, $1) }, uniquingKeysWith: { first, _ in first })
    }

    var testDescription: String { name }
  }

  static let charging: [Happening] = [.placed, .reserved]
  static let confirming = charging + [.paid]
  static let notifying = confirming + [.confirmed]
  static let outOfStock: [Happening] = [.placed, .unavailable]

  static let forward: [Row] = [
    Row("not started", .notStarted, given: [], ["OrderInitiated": "reserving: ReserveStock"]),
    Row(
      "reserving", .reserving, given: [.placed],
      [
        "StockReserved": "charging: TakePayment",
        "nothing to do for ReserveStock": "charging: TakePayment",
        "StockUnavailable": "cancelling_order: CancelOrder",
        "refused ReserveStock": "cancelling_order: CancelOrder",
        "PaymentInitiated": "reserving",
        "PaymentProcessed": "reserving",
        "PaymentFailed": "cancelling",
        "PaymentFailed, possibly charged": "cancelling: RefundPayment",
        "PaymentRefunded": "cancelling",
        "PaymentVoided": "cancelling",
        "OrderCancellationRequested": "cancelling",
      ]),
    Row(
      "charging", .charging, given: charging,
      [
        "PaymentProcessed": "confirming: ConfirmOrder",
        "PaymentFailed": "releasing: ReleaseStock",
        "PaymentFailed, possibly charged": "releasing: RefundPayment, ReleaseStock",
        "PaymentRefunded": "releasing: ReleaseStock",
        "PaymentVoided": "releasing: ReleaseStock",
        "refused TakePayment": "releasing: ReleaseStock",
        "OrderCancellationRequested": "cancelling",
      ]),
    Row(
      "confirming", .confirming, given: confirming,
      [
        "OrderConfirmed": "notifying: RequestNotification",
        "nothing to do for ConfirmOrder": "notifying: RequestNotification",
        "refused ConfirmOrder": "refunding: RefundPayment",
        "OrderCancellationRequested": "cancelling",
      ]),
    Row(
      "notifying", .notifying, given: notifying,
      [
        "NotificationSent": "completed",
        "NotificationFailed": "completed",
        "refused RequestNotification": "completed",
        "nothing to do for RequestNotification": "completed",
        "OrderCancellationRequested": "refunding: RefundPayment",
      ]),
    Row(
      "completed", .completed, given: notifying + [.notified],
      ["OrderCancellationRequested": "refunding: RefundPayment"]),
  ]

  static let paidByHand: [Row] = [
    Row(
      "reserving, being paid by hand", .reserving, given: [.placed, .payingByHand],
      [
        "StockReserved": "charging",
        "nothing to do for ReserveStock": "charging",
        "StockUnavailable": "cancelling_order: RefundPayment, CancelOrder",
        "refused ReserveStock": "cancelling_order: RefundPayment, CancelOrder",
        "PaymentProcessed": "reserving",
        "PaymentFailed": "cancelling",
        "PaymentFailed, possibly charged": "cancelling: RefundPayment",
        "PaymentRefunded": "cancelling",
        "PaymentVoided": "cancelling",
        "OrderCancellationRequested": "cancelling",
      ]),
    Row(
      "reserving, paid by hand", .reserving, given: [.placed, .payingByHand, .paid],
      [
        "StockReserved": "confirming: ConfirmOrder",
        "nothing to do for ReserveStock": "confirming: ConfirmOrder",
        "StockUnavailable": "refunding: RefundPayment",
        "refused ReserveStock": "refunding: RefundPayment",
        "PaymentFailed": "cancelling",
        "PaymentFailed, possibly charged": "cancelling: RefundPayment",
        "PaymentRefunded": "cancelling",
        "PaymentVoided": "cancelling",
        "OrderCancellationRequested": "cancelling",
      ]),
    Row(
      "cancelling while reserving and being paid by hand", .cancelling,
      given: [.placed, .payingByHand, .cancelRequested],
      [
        "StockReserved": "releasing: RefundPayment, ReleaseStock",
        "nothing to do for ReserveStock": "releasing: RefundPayment, ReleaseStock",
        "StockUnavailable": "cancelling_order: RefundPayment, CancelOrder",
        "refused ReserveStock": "cancelling_order: RefundPayment, CancelOrder",
        "PaymentProcessed": "cancelling",
        "PaymentFailed": "cancelling",
        "PaymentFailed, possibly charged": "cancelling: RefundPayment",
      ]),
    Row(
      "cancelling while reserving, paid by hand", .cancelling,
      given: [.placed, .payingByHand, .cancelRequested, .paid],
      [
        "StockReserved": "refunding: RefundPayment",
        "nothing to do for ReserveStock": "refunding: RefundPayment",
        "StockUnavailable": "refunding: RefundPayment",
        "refused ReserveStock": "refunding: RefundPayment",
        "PaymentRefunded": "cancelling",
        "PaymentVoided": "cancelling",
      ]),
    Row(
      "cancelling while reserving, the payment by hand possibly charged", .cancelling,
      given: [.placed, .payingByHand, .possiblyCharged],
      [
        "StockReserved": "releasing: ReleaseStock",
        "nothing to do for ReserveStock": "releasing: ReleaseStock",
        "StockUnavailable": "cancelling_order: CancelOrder",
        "refused ReserveStock": "cancelling_order: CancelOrder",
        "PaymentRefunded": "cancelling",
        "PaymentVoided": "cancelling",
        "nothing to do for RefundPayment": "cancelling",
        "refused RefundPayment": "cancelling",
      ]),
  ]

  static let backward: [Row] = [
    Row(
      "cancelling while reserving", .cancelling, given: [.placed, .cancelRequested],
      [
        "StockReserved": "releasing: ReleaseStock",
        "nothing to do for ReserveStock": "releasing: ReleaseStock",
        "StockUnavailable": "cancelling_order: CancelOrder",
        "refused ReserveStock": "cancelling_order: CancelOrder",
        "PaymentInitiated": "cancelling",
      ]),
    Row(
      "cancelling while charging", .cancelling, given: charging + [.cancelRequested],
      [
        "PaymentProcessed": "refunding: RefundPayment",
        "PaymentFailed": "releasing: ReleaseStock",
        "PaymentFailed, possibly charged": "releasing: RefundPayment, ReleaseStock",
        "PaymentRefunded": "releasing: ReleaseStock",
        "PaymentVoided": "releasing: ReleaseStock",
        "refused TakePayment": "releasing: ReleaseStock",
      ]),
    Row(
      "cancelling while confirming", .cancelling, given: confirming + [.cancelRequested],
      [
        "OrderConfirmed": "refunding: RefundPayment",
        "nothing to do for ConfirmOrder": "refunding: RefundPayment",
        "refused ConfirmOrder": "refunding: RefundPayment",
      ]),
    Row(
      "refunding", .refunding, given: notifying + [.cancelRequested],
      [
        "PaymentRefunded": "releasing: ReleaseStock",
        "PaymentVoided": "releasing: ReleaseStock",
        "nothing to do for RefundPayment": "releasing: ReleaseStock",
        "refused RefundPayment": "releasing: ReleaseStock",
      ]),
    Row(
      "releasing", .releasing, given: charging + [.declined],
      [
        "StockReleased": "cancelling_order: CancelOrder",
        "StockReservationBarred": "cancelling_order: CancelOrder",
        "nothing to do for ReleaseStock": "cancelling_order: CancelOrder",
        "refused ReleaseStock": "cancelling_order: CancelOrder",
      ]),
    Row(
      "releasing, possibly charged", .releasing, given: charging + [.possiblyCharged],
      [
        "StockReleased": "cancelling_order: CancelOrder",
        "StockReservationBarred": "cancelling_order: CancelOrder",
        "nothing to do for ReleaseStock": "cancelling_order: CancelOrder",
        "refused ReleaseStock": "cancelling_order: CancelOrder",
        "PaymentRefunded": "releasing",
        "PaymentVoided": "releasing",
        "nothing to do for RefundPayment": "releasing",
        "refused RefundPayment": "releasing",
      ]),
    Row(
      "cancelling the order", .cancellingOrder, given: outOfStock,
      [
        "OrderCancelled": "compensated",
        "nothing to do for CancelOrder": "compensated",
        "refused CancelOrder": "compensation_blocked",
        "PaymentInitiated": "cancelling_order: RefundPayment",
      ]),
    Row(
      "cancelling the order, possibly charged", .cancellingOrder,
      given: charging + [.possiblyCharged, .released],
      [
        "OrderCancelled": "voiding_payment",
        "nothing to do for CancelOrder": "voiding_payment",
        "refused CancelOrder": "voiding_payment",
        "PaymentRefunded": "cancelling_order",
        "PaymentVoided": "cancelling_order",
        "nothing to do for RefundPayment": "cancelling_order",
        "refused RefundPayment": "cancelling_order",
      ]),
    Row(
      "voiding the payment", .voidingPayment,
      given: charging + [.possiblyCharged, .released, .cancelled],
      [
        "PaymentRefunded": "compensated",
        "PaymentVoided": "compensated",
        "nothing to do for RefundPayment": "compensated",
        "refused RefundPayment": "compensation_blocked",
      ]),
    Row("compensated", .compensated, given: outOfStock + [.cancelled], [:]),
    Row(
      "blocked on the refund", .compensationBlocked,
      given: notifying + [.cancelRequested, .refused("RefundPayment"), .released, .cancelled],
      [
        "PaymentRefunded": "compensated",
        "PaymentVoided": "compensated",
        "nothing to do for RefundPayment": "compensated",
      ]),
    Row(
      "blocked on the release", .compensationBlocked,
      given: charging + [.declined, .refused("ReleaseStock"), .cancelled],
      [
        "StockReleased": "compensated", "StockReservationBarred": "compensated",
        "nothing to do for ReleaseStock": "compensated",
      ]),
    Row(
      "blocked on the cancellation", .compensationBlocked,
      given: charging + [.declined, .released, .refused("CancelOrder")],
      ["OrderCancelled": "compensated", "nothing to do for CancelOrder": "compensated"]),
  ]

  static let version1 = forward + paidByHand + backward

  /// What is not named here is as it was.
  private static let changes: [String: KeyValuePairs<String, String>] = [
    "charging": ["PaymentFailed, possibly charged": "refunding: RefundPayment"],
    "reserving, being paid by hand": [
      "StockUnavailable": "refunding: RefundPayment",
      "refused ReserveStock": "refunding: RefundPayment",
    ],
    "cancelling while reserving and being paid by hand": [
      "StockReserved": "refunding: RefundPayment",
      "nothing to do for ReserveStock": "refunding: RefundPayment",
      "StockUnavailable": "refunding: RefundPayment",
      "refused ReserveStock": "refunding: RefundPayment",
    ],
    "cancelling while reserving, the payment by hand possibly charged": [
      "StockReserved": "refunding", "nothing to do for ReserveStock": "refunding",
      "StockUnavailable": "refunding", "refused ReserveStock": "refunding",
    ],
    "cancelling while charging": [
      "PaymentFailed, possibly charged": "refunding: RefundPayment"
    ],
    "releasing": ["refused ReleaseStock": "compensation_blocked"],
  ]
  private static let gone: Set<String> = [
    "releasing, possibly charged", "cancelling the order, possibly charged",
    "voiding the payment", "blocked on the refund", "blocked on the release",
  ]

  static let version2: [Row] =
    version1.filter { !gone.contains($0.name) }.map { $0.v2(changes[$0.name] ?? [:]) } + [
      Row(
        "extending the hold", .extendingHold,
        given: [.placed, .pause(seconds: 850), .reserved],
        [
          "StockHoldExtended": "charging: TakePayment",
          "nothing to do for ExtendHold": "charging: TakePayment",
          "refused ExtendHold": "releasing: ReleaseStock",
          "PaymentInitiated": "charging",
          "OrderCancellationRequested": "cancelling",
        ]
      ).v2(),
      Row(
        "cancelling while extending the hold", .cancelling,
        given: [.placed, .pause(seconds: 850), .reserved, .cancelRequested],
        [
          "StockHoldExtended": "releasing: ReleaseStock",
          "nothing to do for ExtendHold": "releasing: ReleaseStock",
          "refused ExtendHold": "releasing: ReleaseStock",
          "PaymentInitiated": "cancelling",
        ]
      ).v2(),
      Row(
        "refunding what was possibly charged", .refunding, given: charging + [.possiblyCharged],
        [
          "PaymentRefunded": "releasing: ReleaseStock",
          "PaymentVoided": "releasing: ReleaseStock",
          "nothing to do for RefundPayment": "releasing: ReleaseStock",
          "refused RefundPayment": "releasing: ReleaseStock",
        ]
      ).v2(),
      Row(
        "blocked on the refund", .compensationBlocked,
        given: notifying + [.cancelRequested, .refused("RefundPayment"), .released],
        [
          "PaymentRefunded": "cancelling_order: CancelOrder",
          "PaymentVoided": "cancelling_order: CancelOrder",
          "nothing to do for RefundPayment": "cancelling_order: CancelOrder",
        ]
      ).v2(),
      Row(
        "blocked on the release", .compensationBlocked,
        given: charging + [.declined, .refused("ReleaseStock")],
        [
          "StockReleased": "cancelling_order: CancelOrder",
          "StockReservationBarred": "cancelling_order: CancelOrder",
          "nothing to do for ReleaseStock": "cancelling_order: CancelOrder",
        ]
      ).v2(),
      Row(
        "blocked on the release, not paid", .compensationBlocked,
        given: [.placed, .cancelRequested, .reserved, .refused("ReleaseStock")],
        [
          "StockReleased": "cancelling_order: CancelOrder",
          "StockReservationBarred": "cancelling_order: CancelOrder",
          "nothing to do for ReleaseStock": "cancelling_order: CancelOrder",
          "PaymentInitiated": "refunding: RefundPayment",
        ]
      ).v2(),
      Row(
        "blocked on the release, refunding what was paid by hand", .refunding,
        given: [.placed, .cancelRequested, .reserved, .refused("ReleaseStock"), .payingByHand],
        [
          "StockReleased": "refunding", "StockReservationBarred": "refunding",
          "nothing to do for ReleaseStock": "refunding",
          "PaymentRefunded": "compensation_blocked",
          "PaymentVoided": "compensation_blocked",
          "nothing to do for RefundPayment": "compensation_blocked",
          "refused RefundPayment": "compensation_blocked",
        ]
      ).v2(),
    ]

  static let rows = version1 + version2

  @Test("each input leads where the table says, and all others are ignored", arguments: rows)
  func transitions(_ row: Row) {
    #expect(row.story.stage == row.stage)
    for happening in Happening.all {
      let actual = row.story.take(happening)?.summary
      #expect(actual == row.expected[happening.description], "on \(happening)")
    }
    let known = Set(Happening.all.map(\.description))
    #expect(Set(row.expected.keys).subtracting(known).isEmpty)
  }

  @Test("the table has a row for every stage")
  func complete() {
    #expect(Set(Self.rows.map(\.stage)) == Set(OrderFulfilment.Stage.allCases))
  }
}
