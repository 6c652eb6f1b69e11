import EventSourcing
import Synchronization

/// A ledger that lives as long as its process: for tests and for a first look.
public final class InMemoryLedger: PaymentLedger {
  private struct State {
    var payments: [String: PaymentRecord] = [:]
    var byKey: [String: String] = [:]
    var byRefundKey: [String: String] = [:]
  }

  private let state = Mutex(State())

  public init() {}

  public func prepare() async throws {}

  public func ping() async throws {}

  public func insert(_ payment: PaymentRecord) async throws -> LedgerInsertion {
    state.withLock { state in
      if let key = payment.key, let id = state.byKey[key], let holder = state.payments[id] {
        return .keyTaken(holder)
      }
      if let refundKey = payment.refundKey, let id = state.byRefundKey[refundKey],
        let holder = state.payments[id]
      {
        return .refundKeyTaken(holder)
      }
      Self.store(payment, in: &state)
      return .inserted
    }
  }

  public func replace(_ payment: PaymentRecord) async throws -> LedgerReplacement {
    state.withLock { state in
      guard state.payments[payment.id]?.revision == payment.revision else { return .outdated }
      if let refundKey = payment.refundKey, let holder = state.byRefundKey[refundKey],
        holder != payment.id
      {
        return .refundKeyTaken
      }
      var changed = payment
      changed.revision += 1
      Self.store(changed, in: &state)
      return .replaced
    }
  }

  private static func store(_ payment: PaymentRecord, in state: inout State) {
    state.payments[payment.id] = payment
    if let key = payment.key { state.byKey[key] = payment.id }
    if let refundKey = payment.refundKey { state.byRefundKey[refundKey] = payment.id }
  }

  public func payment(id: String) async throws -> PaymentRecord? {
    state.withLock { $0.payments[id] }
  }

  public func payment(key: String) async throws -> PaymentRecord? {
    state.withLock { state in state.byKey[key].flatMap { state.payments[$0] } }
  }

  public func payment(refundKey: String) async throws -> PaymentRecord? {
    state.withLock { state in state.byRefundKey[refundKey].flatMap { state.payments[$0] } }
  }

  public func payments(_ query: PaymentQuery) async throws -> [PaymentRecord] {
    let orders = query.order.map(Reference.all(writtenAs:))
    let found = state.withLock { state in
      state.payments.values.filter { payment in
        if let before = query.before, payment.id >= before { return false }
        guard let orders else { return true }
        return payment.terms.map { orders.contains($0.order) } ?? false
      }
    }
    return Array(found.sorted { $0.id > $1.id }.prefix(query.limit))
  }

  public func summary() async throws -> LedgerSummary {
    let payments = state.withLock { Array($0.payments.values) }
    var summary = LedgerSummary()
    for payment in payments {
      summary.counts[payment.status, default: 0] += 1
      guard let amount = payment.terms?.amount, payment.transactionID != nil else { continue }
      var totals = summary.totals[amount.currency] ?? LedgerSummary.Totals()
      totals.captured += amount.minorUnits
      totals.captures += 1
      if payment.refundID != nil {
        totals.refunded += amount.minorUnits
        totals.refunds += 1
      }
      summary.totals[amount.currency] = totals
    }
    return summary
  }
}
