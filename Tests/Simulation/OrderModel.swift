import Commerce
import EventSourcing

/// What the events of the log say of one order, and the rules that they must keep at every step.
struct OrderModel {
  enum Payment: String {
    case none, initiated, processed, failed
    case possiblyCharged = "possibly charged"
    case refundRequested = "refund requested"
    case refunded, voided

    /// Nothing was taken, or all of it was given back, and nothing is to come.
    var isUndone: Bool {
      switch self {
      case .failed, .refunded, .voided: true
      case .none, .initiated, .processed, .possiblyCharged, .refundRequested: false
      }
    }
  }

  let id: String
  var isOrchestrated = true
  var total: Money?
  var wanted: [String: Int64] = [:]
  var holds: [String: Int64] = [:]
  /// By product, of holds that expire.
  var expiries: [String: Timestamp] = [:]
  /// Its hold had expired, and was freed for somebody else.
  var hasLostHold = false
  var isConfirmed = false
  var isToBeCancelled = false
  var isCancelled = false
  var payment = Payment.none
  /// The position of PaymentInitiated, and whether the saga asked for it.
  var paymentAt: Position?
  var isPaidByHand = false
  var captures = 0
  var refunds = 0
  var saga = SagaModel()

  init(id: String) { self.id = id }

  var holdsAll: Bool { wanted.allSatisfy { holds[$0.key] == $0.value } }
  var holdsNothing: Bool { holds.values.allSatisfy { $0 == 0 } }

  /// Whether somebody has paid by hand and the saga has not seen it, or had not when it sent its last
  /// command.
  private var isPaidUnseen: Bool {
    isPaidByHand && (paymentAt ?? .start) > (saga.seenWhenCancelling ?? saga.lastInput)
  }

  mutating func take(_ event: Recorded, _ provider: SimulatedProvider) -> Violation? {
    if let command = Self.commandOfTheSaga(event), isOrchestrated, !saga.hasRequested(command) {
      return broken("I13", "has \(event.type) before its saga has committed \(command)")
    }
    switch event.stream.category {
    case "orders": return takeOrder(event, provider)
    case "inventory": return takeStock(event)
    case "payments": return takePayment(event, provider)
    case "sagas": return takeSaga(event)
    default: return nil
    }
  }

  /// The command that left this event, when that is a saga's and nobody else's.
  private static func commandOfTheSaga(_ event: Recorded) -> String? {
    guard event.header.context.serviceName == "sagas" else { return nil }
    return switch event.type {
    case "StockReserved", "StockUnavailable": "reserve/forward"
    case "StockHoldExtended": "hold/forward"
    case "PaymentInitiated": "pay/forward"
    case "PaymentRefundRequested": "pay/undo"
    case "OrderConfirmed": "confirm/forward"
    case "NotificationRequested": "notify/forward"
    case "OrderCancelled": "place/undo"
    // Releases and voids also free the expired holds of other orders.
    default: nil
    }
  }

  // MARK: The order

  private mutating func takeOrder(
    _ event: Recorded, _ provider: SimulatedProvider
  ) -> Violation? {
    switch event.type {
    case "OrderInitiated":
      isOrchestrated = event.data["saga"] == "orchestrated"
      total = try? event.data.money("total_amount")
      for item in event.data["items"]?.arrayValue ?? [] {
        guard case .object(let item) = item, let product = item["product_id"]?.integerValue,
          let quantity = item["quantity"]?.integerValue
        else { continue }
        wanted["\(product)", default: 0] += quantity
      }
    case "OrderConfirmed":
      if isConfirmed { return broken("I8", "is confirmed twice") }
      isConfirmed = true
      guard !isCancelled else { return broken("I13", "is confirmed after it was cancelled") }
      guard holdsAll else { return broken("I13", "is confirmed without its stock: \(holds)") }
      guard captures == 1, refunds == 0 else { return broken("I12", "is confirmed and not paid") }
    case "OrderCancellationRequested": isToBeCancelled = true
    case "OrderCancelled":
      if isCancelled { return broken("I8", "is cancelled twice") }
      isCancelled = true
      return isOrchestrated ? brokenWhenCancelled(provider) : nil
    default: break
    }
    return nil
  }

  /// The saga cancels the order last.
  private func brokenWhenCancelled(_ provider: SimulatedProvider) -> Violation? {
    guard holdsNothing else { return broken("I13", "is cancelled and holds \(holds)") }
    if isPaidUnseen { return nil }
    guard payment.isUndone || payment == .none else {
      return broken("I12", "is cancelled and its payment is \(payment.rawValue)")
    }
    guard let id = OrderID(id) else { return nil }
    let balance = provider.balance(of: id)
    guard balance.captured == balance.refunded else {
      return broken("I12", "is cancelled, and the provider keeps the money")
    }
    return nil
  }

  private mutating func takeStock(_ event: Recorded) -> Violation? {
    let quantity = event.data["quantity"]?.integerValue ?? 0
    switch event.type {
    case "StockReserved":
      holds[event.stream.id, default: 0] += quantity
      expiries[event.stream.id] = expiry(in: event)
    case "StockReleased":
      holds[event.stream.id, default: 0] -= quantity
      expiries[event.stream.id] = nil
      hasLostHold = hasLostHold || event.data["reason"] == "the hold expired"
    case "StockHoldExtended": expiries[event.stream.id] = expiry(in: event)
    case "StockHoldSecured": expiries[event.stream.id] = nil
    default: return nil
    }
    if isOrchestrated, isCancelled, !holdsNothing {
      return broken("I13", "is cancelled and gets stock: \(holds)")
    }
    return nil
  }

  private func expiry(in event: Recorded) -> Timestamp? {
    (try? event.data.timestampIfPresent("expires_at")) ?? nil
  }

  // MARK: The payment

  private mutating func takePayment(
    _ event: Recorded, _ provider: SimulatedProvider
  ) -> Violation? {
    guard let id = OrderID(id) else { return nil }
    let balance = provider.balance(of: id)
    switch event.type {
    case "PaymentInitiated":
      guard payment == .none else { return broken("I12", "is to be paid a second time") }
      payment = .initiated
      paymentAt = event.position
      isPaidByHand = event.header.context.serviceName == "commands"
      guard !isPaidByHand, let deadline = try? event.data.timestamp("deadline") else { break }
      // The saga waits beyond the deadline for its outcome.
      guard expiries.values.allSatisfy({ $0 > deadline.adding(seconds: 30) }) else {
        return broken("I13", "is to be paid by \(deadline), and holds its stock until \(expiries)")
      }
    case "PaymentProcessed":
      payment = .processed
      captures += 1
      guard captures == 1 else { return broken("I12", "is captured twice") }
      guard balance.captured > 0 else { return broken("I12", "was never charged") }
    case "PaymentFailed":
      let isPossible = event.data["possibly_charged"] == true
      payment = isPossible ? .possiblyCharged : .failed
      guard isPossible || provider.hasDeclined(id) else {
        return broken("I12", "has a payment that failed without the provider's word")
      }
    case "PaymentRefundRequested": payment = .refundRequested
    case "PaymentRefunded":
      payment = .refunded
      refunds += 1
      guard refunds == 1 else { return broken("I12", "is refunded twice") }
      guard balance.refunded == balance.captured, balance.captured > 0 else {
        return broken("I12", "is not refunded by the provider")
      }
    case "PaymentVoided":
      payment = .voided
      guard balance.captured == balance.refunded else {
        return broken("I12", "is void and charged")
      }
    default: break
    }
    return nil
  }

  // MARK: The saga

  private mutating func takeSaga(_ event: Recorded) -> Violation? {
    if let fault = saga.take(event) { return broken("I13", fault) }
    if let until = saga.holdAskedNow, expiries.values.contains(where: { $0 >= until }) {
      return broken("I13", "asks to hold its stock until \(until), and has it until \(expiries)")
    }
    for undo in saga.sentNow {
      if let fault = fault(sending: undo) { return broken("I13", fault) }
    }
    return nil
  }

  /// What was to be undone before, and is not.
  private func fault(sending command: String) -> String? {
    guard command == "reserve/undo" || command == "place/undo" else { return nil }
    let isPaySettled =
      payment.isUndone || saga.isBlocked("pay")
      || (payment == .none || isPaidUnseen) && !saga.hasRequested("pay/forward")
      || payment == .none && saga.isRefused("pay")
    guard isPaySettled else {
      return "undoes \(command) while its payment is \(payment.rawValue)"
    }
    if command == "place/undo", !holdsNothing {
      return "cancels the order while it holds \(holds)"
    }
    return nil
  }

  // MARK: The end

  /// What it still waits for, when nothing goes wrong any more.
  var unsettled: String? {
    guard total != nil else { return nil }
    if isOrchestrated {
      guard saga.hasEnded else { return "is \(saga.state)" }
    } else {
      guard isConfirmed || isCancelled else { return "is neither confirmed nor cancelled" }
      if isCancelled, !holdsNothing { return "is cancelled and holds stock" }
      if isCancelled, !payment.isUndone, payment != .none { return "is cancelled and paid" }
    }
    if payment == .initiated || payment == .refundRequested {
      return "has a payment that is \(payment.rawValue)"
    }
    return nil
  }

  func brokenAtTheEnd(_ provider: SimulatedProvider) -> Violation? {
    guard let total, let id = OrderID(id) else { return nil }
    let balance = provider.balance(of: id)
    if isCancelled {
      guard holdsNothing else { return broken("I13", "is cancelled and holds \(holds)") }
      guard captures <= refunds else {
        return broken("I12", "is cancelled: \(captures) captures, \(refunds) refunds")
      }
      guard balance.captured == balance.refunded else {
        return broken("I12", "is cancelled, and the provider keeps the money")
      }
    } else {
      guard !isToBeCancelled else { return broken("I13", "was to be cancelled, and is not") }
      guard isConfirmed else { return broken("I13", "has ended in nothing") }
      guard holdsAll else { return broken("I13", "is confirmed without its stock: \(holds)") }
      guard balance.captured == total.minorUnits, balance.refunded == 0, captures == 1 else {
        return broken("I12", "is confirmed: \(balance), \(captures) captures")
      }
    }
    if isOrchestrated, isCancelled != (saga.state == "compensated") {
      return broken("I13", "has a saga that is \(saga.state)")
    }
    if isOrchestrated, saga.timer != nil { return broken("I13", "has a timer that lives on") }
    return nil
  }

  private func broken(_ invariant: String, _ what: String) -> Violation {
    Violation(invariant: invariant, what: "\(id) \(what)")
  }
}

/// What the events of a saga's stream say of it.
struct SagaModel {
  private(set) var state = "not_started"
  private(set) var lastInput = Position.start
  private(set) var timer: SagaTimer?
  /// `pay/undo` and the like that the last event sent.
  private(set) var sentNow: [String] = []
  /// Until when the last event asked to hold the stock, the first time that one did.
  private(set) var holdAskedNow: Timestamp?
  private(set) var hasCompensated = false
  /// The last input before the order was told to be cancelled.
  private(set) var seenWhenCancelling: Position?
  private var lastEpoch: Int64 = 0
  private var hasCompleted = false
  private var requested: Set<String> = []
  private var blocked: Set<String> = []
  private var refused: Set<String> = []

  var hasEnded: Bool { state == "completed" || state == "compensated" }

  func hasRequested(_ command: String) -> Bool { requested.contains(command) }
  func isBlocked(_ step: String) -> Bool { blocked.contains(step) }
  func isRefused(_ step: String) -> Bool { refused.contains(step) }

  mutating func take(_ event: Recorded) -> String? {
    sentNow = []
    holdAskedNow = nil
    if hasCompensated { return "goes on after its end: \(event.type)" }
    switch event.type {
    case "SagaCompleted":
      if hasCompleted { return "is completed twice" }
      hasCompleted = true
    case "SagaCompensated": hasCompensated = true
    default: break
    }
    let isWoken = event.data["input"]?.objectValue?["type"] == "TimerDue"
    if isWoken, timer.map({ $0.due > event.timestamp }) ?? true {
      return "is woken and no timer of its own is due"
    }
    if let position = event.data["input"]?.objectValue?["position"]?.integerValue {
      guard Position(position) > lastInput || event.type.hasPrefix("SagaInput") else {
        return "takes input \(position) after \(lastInput)"
      }
      lastInput = max(lastInput, Position(position))
    }
    state = event.data["state"]?.stringValue ?? state
    takeFinished(event.data["finished"]?.objectValue)
    if let fault = takeTimer(event) { return fault }
    return takeCommands(event)
  }

  private mutating func takeFinished(_ finished: Fields?) {
    guard let finished, let step = finished["step"]?.stringValue else { return }
    let outcome = finished["outcome"]?.stringValue ?? ""
    if finished["direction"] == "undo" {
      if ["refused", "failed", "timed_out"].contains(outcome) {
        blocked.insert(step)
      } else {
        blocked.remove(step)
      }
    } else if outcome == "refused" {
      refused.insert(step)
    }
  }

  private mutating func takeTimer(_ event: Recorded) -> String? {
    let next = (try? SagaTimer(in: event)) ?? nil
    defer { timer = next }
    if hasEnded, next != nil { return "has ended with a timer" }
    if state == "compensation_blocked", next == nil { return "is blocked without a timer" }
    guard let next, next != timer else { return nil }
    guard next.epoch > lastEpoch else { return "sets a timer of an old epoch" }
    lastEpoch = next.epoch
    return nil
  }

  private mutating func takeCommands(_ event: Recorded) -> String? {
    for command in (try? OutgoingCommand.commands(in: event)) ?? [] {
      let parts = command.effectID.split(separator: "/")
      guard parts.count == 4, parts[3] == "1" else {
        return "sends \(command.effectID), which is no effect of its order"
      }
      let name = "\(parts[1])/\(parts[2])"
      if parts[2] == "undo" { sentNow.append(name) }
      let isFirst = requested.insert(name).inserted
      if isFirst, name == "hold/forward" {
        holdAskedNow = try? command.payload.timestamp("until")
      }
      if name == "place/undo" { seenWhenCancelling = seenWhenCancelling ?? lastInput }
    }
    return nil
  }
}
