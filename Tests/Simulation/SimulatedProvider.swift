import Commerce
import EventSourcing
import Sagas

/// The payment service: one for the whole world, with a ledger by effect id that forgets nothing.
final class SimulatedProvider: @unchecked Sendable {
  struct Charge {
    var order: OrderID
    var amount: Money
    var isRefunded = false
  }

  private(set) var charges: [String: Charge] = [:]
  private(set) var declines: Set<String> = []
  /// Charges that were undone before they came.
  private(set) var tombstones: Set<String> = []
  /// By the refund's own effect id: the charge that it gave back.
  private(set) var refunds: [String: String] = [:]
  private let world: World

  init(world: World) { self.world = world }

  /// What was taken for an order, and what was given back, in cents.
  func balance(of order: OrderID) -> (captures: Int, captured: Int64, refunded: Int64) {
    let all = charges.values.filter { $0.order == order }
    return (
      all.count, all.reduce(0) { $0 + $1.amount.minorUnits },
      all.filter(\.isRefunded).reduce(0) { $0 + $1.amount.minorUnits }
    )
  }

  /// Whether it has said no to an order's payment, and has none of its money.
  func hasDeclined(_ order: OrderID) -> Bool {
    if case .declined? = outcome(of: "\(order.text)/pay/forward/1") { return true }
    return false
  }

  fileprivate func charge(_ request: ChargeRequest) -> ChargeOutcome {
    let id = request.effectID
    if let known = outcome(of: id) { return known }
    if world.isDeclined(request.orderID) {
      declines.insert(id)
      world.tell("provider: declines \(id)")
      return .declined(code: "CARD_DECLINED", reason: "declined")
    }
    charges[id] = Charge(order: request.orderID, amount: request.amount)
    world.tell("provider: charges \(id)")
    world.didCharge(request.orderID)
    return .charged(transactionID: "transaction of \(id)")
  }

  fileprivate func outcome(of id: String) -> ChargeOutcome? {
    if declines.contains(id) { return .declined(code: "CARD_DECLINED", reason: "declined") }
    if tombstones.contains(id) || charges[id]?.isRefunded == true {
      return .declined(code: "VOIDED", reason: "undone")
    }
    return charges[id].map { _ in .charged(transactionID: "transaction of \(id)") }
  }

  fileprivate func refund(_ id: String, as refund: String, _ amount: Money) -> RefundOutcome {
    if refunds[refund] != nil { return .refunded(refundID: "refund of \(id)") }
    guard let charge = charges[id] else {
      tombstones.insert(id)
      world.tell("provider: will never charge \(id)")
      return .nothingCharged
    }
    if charge.isRefunded {
      world.violate("I12", "\(id) is refunded a second time, as \(refund)")
    }
    if charge.amount != amount { world.violate("I12", "\(id) is refunded in part") }
    charges[id]?.isRefunded = true
    refunds[refund] = id
    world.tell("provider: refunds \(id)")
    return .refunded(refundID: "refund of \(id)")
  }

  /// The provider as one process reaches it.
  struct Gateway: PaymentGateway {
    let provider: SimulatedProvider
    unowned let process: SimulatedProcess

    func charge(_ request: ChargeRequest) async throws(PaymentGatewayError) -> ChargeOutcome {
      try await call("charge \(request.effectID)") { provider.charge(request) }
    }

    func outcome(of effectID: String) async throws(PaymentGatewayError) -> ChargeOutcome? {
      try await call("ask for \(effectID)") { provider.outcome(of: effectID) }
    }

    func refund(
      effectID: String, refundEffectID: String, amount: Money
    ) async throws(PaymentGatewayError) -> RefundOutcome {
      try await call("refund \(effectID)") {
        provider.refund(effectID, as: refundEffectID, amount)
      }
    }

    private func call<Outcome: Sendable>(
      _ what: String, _ work: @escaping @Sendable () -> Outcome
    ) async throws(PaymentGatewayError) -> Outcome {
      let world = process.world
      func arrive(_ place: String) async throws(PaymentGatewayError) {
        do { try await process.reach(place) } catch { throw .unknown("the process is dead") }
      }
      try await arrive(what)
      if world.isProviderGone || world.fails(\.requestRefused) {
        throw .notSent("connection refused")
      }
      if world.fails(\.requestLost) {
        world.tell("\(process.name): \(what) is lost")
        throw .unknown("timeout")
      }
      if world.fails(\.late) {
        let pause = world.chance.duration(upTo: .seconds(400))
        world.tell("\(process.name): \(what) will arrive in \(pause)")
        Task {
          try? await Task.sleep(for: pause)
          _ = work()
        }
        throw .unknown("timeout")
      }
      let outcome = work()
      try await arrive("answered")
      if world.fails(\.answerLost) {
        world.tell("\(process.name): answer to \(what) is lost")
        throw .unknown("500")
      }
      return outcome
    }
  }
}
