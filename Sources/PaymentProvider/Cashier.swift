import EventSourcing
import ServiceLifecycle

/// Makes, processes and undoes payments: every rule about keys and repetition is here, over any
/// ledger. Safe to call from any number of tasks, with the same key or different ones.
struct Cashier: Sendable {
  /// A payment, and whether an earlier request had already brought it to this state.
  struct Receipt: Sendable {
    var payment: PaymentRecord
    var isRepeated: Bool
  }

  let ledger: any PaymentLedger
  let simulator: Simulator
  let now: @Sendable () -> Timestamp

  /// A payment changes three times at most, so a loser of this many races is not losing to others.
  private static let attemptsMax = 8

  /// Makes a payment to be processed later. The same key and terms give the same payment.
  func create(_ terms: PaymentTerms, key: String?) async throws -> Receipt {
    let payment = PaymentRecord(terms: terms, key: key, at: now())
    switch try await ledger.insert(payment) {
    case .inserted: return Receipt(payment: payment, isRepeated: false)
    case .keyTaken(let holder):
      try checkTerms(of: holder, are: terms)
      return Receipt(payment: holder, isRepeated: true)
    case .refundKeyTaken: throw LedgerUnavailable(reason: "a new payment cannot have a refund")
    }
  }

  /// Captures or declines a payment once. Later calls answer what the first one brought about,
  /// whatever they would pay with.
  func process(id: String, with instrument: Instrument) async throws -> Receipt {
    let payment = try await find(id)
    guard payment.status == .created else { return try outcome(of: payment, isRepeated: true) }
    let plan = simulator.plan(for: instrument, at: now())
    try await begin(plan)
    for _ in 0..<Self.attemptsMax {
      var payment = try await find(id)
      guard payment.status == .created else { return try outcome(of: payment, isRepeated: true) }
      payment.process(plan.outcome, with: instrument, at: now())
      if try await ledger.replace(payment) == .replaced {
        try end(plan)
        return try outcome(of: payment, isRepeated: false)
      }
    }
    throw LedgerUnavailable(reason: "payment \(id) keeps changing")
  }

  /// Makes and processes a payment in one step, once for each key.
  func charge(_ terms: PaymentTerms, with method: String, key: String) async throws -> Receipt {
    let instrument = Instrument.method(method)
    let certain = simulator.isChanceless ? simulator.plan(for: instrument, at: now()) : nil
    // What neither waits nor fails before it is written is found to be a repetition by writing it.
    if certain?.before != .nothing, let holder = try await ledger.payment(key: key) {
      return try replay(holder, terms: terms)
    }
    let plan = certain ?? simulator.plan(for: instrument, at: now())
    try await begin(plan)
    let time = now()
    var payment = PaymentRecord(terms: terms, key: key, at: time)
    payment.process(plan.outcome, with: instrument, at: time)
    switch try await ledger.insert(payment) {
    case .inserted:
      try end(plan)
      return try outcome(of: payment, isRepeated: false)
    case .keyTaken(let holder): return try replay(holder, terms: terms)
    case .refundKeyTaken: throw LedgerUnavailable(reason: "a new payment cannot have a refund")
    }
  }

  /// Undoes the charge of a key, whether it was captured, declined, or is still to come.
  func refund(chargeKey: String, key: String) async throws -> Receipt {
    if let holder = try await ledger.payment(refundKey: key) {
      guard holder.key == chargeKey else { throw PaymentRefusal.keyReused(key: key) }
      return Receipt(payment: holder, isRepeated: true)
    }
    let plan = simulator.planForRefund()
    try await begin(plan)
    for _ in 0..<Self.attemptsMax {
      let receipt: Receipt?
      if let payment = try await ledger.payment(key: chargeKey) {
        receipt = try await undo(payment, key: key)
      } else {
        receipt = try await refuseInAdvance(chargeKey: chargeKey, key: key)
      }
      if let receipt {
        if !receipt.isRepeated { try end(plan) }
        return receipt
      }
    }
    throw LedgerUnavailable(reason: "the charge \(chargeKey) keeps changing")
  }

  /// Undoes a payment.
  func refund(id: String, key: String?) async throws -> Receipt {
    if let key, let holder = try await ledger.payment(refundKey: key) {
      guard holder.id == id else { throw PaymentRefusal.keyReused(key: key) }
      return Receipt(payment: holder, isRepeated: true)
    }
    _ = try await find(id)
    let plan = simulator.planForRefund()
    try await begin(plan)
    for _ in 0..<Self.attemptsMax {
      if let receipt = try await undo(try await find(id), key: key) {
        if !receipt.isRepeated { try end(plan) }
        return receipt
      }
    }
    throw LedgerUnavailable(reason: "payment \(id) keeps changing")
  }

  func find(_ id: String) async throws -> PaymentRecord {
    guard StreamName.isLegal(id), let payment = try await ledger.payment(id: id) else {
      throw PaymentRefusal.unknownPayment(id: id)
    }
    return payment
  }
}

extension Cashier {
  /// Nil when someone else changed the payment first: look again.
  private func undo(_ payment: PaymentRecord, key: String?) async throws -> Receipt? {
    var undone = payment
    guard undone.undo(refundKey: key, at: now()) else {
      return Receipt(payment: payment, isRepeated: true)
    }
    switch try await ledger.replace(undone) {
    case .replaced: return Receipt(payment: undone, isRepeated: false)
    case .outdated: return nil
    case .refundKeyTaken: throw PaymentRefusal.keyReused(key: key ?? "")
    }
  }

  /// Nil when the charge came in the meantime: look again.
  private func refuseInAdvance(chargeKey: String, key: String) async throws -> Receipt? {
    let tombstone = PaymentRecord.tombstone(key: chargeKey, refundKey: key, at: now())
    switch try await ledger.insert(tombstone) {
    case .inserted: return Receipt(payment: tombstone, isRepeated: false)
    case .keyTaken: return nil
    case .refundKeyTaken(let holder):
      // The same request sent twice at once meets its own twin here.
      guard holder.key == chargeKey else { throw PaymentRefusal.keyReused(key: key) }
      return nil
    }
  }

  private func checkTerms(of holder: PaymentRecord, are terms: PaymentTerms) throws {
    guard let agreed = holder.terms else { throw PaymentRefusal.voided(id: holder.id) }
    guard agreed == terms else { throw PaymentRefusal.keyReused(key: holder.key ?? "") }
  }

  private func replay(_ holder: PaymentRecord, terms: PaymentTerms) throws -> Receipt {
    try checkTerms(of: holder, are: terms)
    return try outcome(of: holder, isRepeated: true)
  }

  /// A payment that was undone answers like one that was never allowed: whoever asks late cannot
  /// tell the two apart, and must not believe that it is paid.
  private func outcome(of payment: PaymentRecord, isRepeated: Bool) throws -> Receipt {
    switch payment.status {
    case .created, .captured: return Receipt(payment: payment, isRepeated: isRepeated)
    case .declined: throw PaymentRefusal.declined(payment)
    case .refunded, .voided: throw PaymentRefusal.voided(id: payment.id)
    }
  }

  private func begin(_ plan: Simulator.Plan) async throws {
    switch plan.before {
    case .nothing: break
    case .wait(let milliseconds):
      try await cancelWhenGracefulShutdown {
        try await Task.sleep(for: .milliseconds(milliseconds))
      }
    case .refuseService: throw PaymentRefusal.serviceUnavailable
    case .neverAnswer: throw PaymentRefusal.neverAnswered
    }
  }

  /// Called only by the request that did the work, so that the next one with its key is told.
  private func end(_ plan: Simulator.Plan) throws {
    switch plan.answer {
    case .honest: break
    case .error: throw PaymentRefusal.failedAfterwards
    case .none: throw PaymentRefusal.neverAnswered
    }
  }
}
