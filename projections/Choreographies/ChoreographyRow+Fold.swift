import Commerce
import EventSourcing

/// What becomes of a row when something happens. Participants race, so every event may come in every
/// state.
extension ChoreographyRow {
  private typealias Name = ChoreographyStep.Name
  private typealias Direction = ChoreographyStep.Direction
  private typealias Status = ChoreographyStep.Status

  mutating func apply(_ happening: ChoreographiesProjection.Happening, at event: Recorded) {
    let time = event.timestamp
    switch happening {
    case .placed: break
    case .reserved: finish(.reserve, .forward, .succeeded, at: time)
    case .unavailable(let reason):
      finish(.reserve, .forward, .failed, reason, at: time)
      turnBack("OUT_OF_STOCK", reason, at: time)
    case .paymentBegun: request(.pay, .forward, at: time)
    case .paid: finish(.pay, .forward, .succeeded, at: time)
    case .paymentFailed(let code, let reason, let mayBeCharged):
      finish(.pay, .forward, .failed, reason, at: time)
      if mayBeCharged {
        request(.pay, .undo, at: time)
      } else if self[.pay, .undo]?.status == .requested {
        finish(.pay, .undo, .notNeeded, at: time)
      }
      turnBack(code, reason, at: time)
    case .confirmed: finish(.confirm, .forward, .succeeded, at: time)
    case .told: finish(.notify, .forward, .succeeded, at: time)
    case .notTold(let reason): finish(.notify, .forward, .failed, reason, at: time)
    case .cancellationRequested(let reason): turnBack("CUSTOMER_REQUEST", reason, at: time)
    case .cancelled(let code, let reason): cancel(code, reason, at: time)
    case .released:
      if isOpen(.reserve) {
        finish(.reserve, .forward, .refused, "undone before it came", at: time)
      }
      finish(.reserve, .undo, .succeeded, at: time)
    case .refundBegun: request(.pay, .undo, at: time)
    case .refunded:
      // Whether it was charged was not known until now.
      if isOpen(.pay) { finish(.pay, .forward, .succeeded, at: time) }
      finish(.pay, .undo, .succeeded, at: time)
    case .voided:
      if isOpen(.pay) { finish(.pay, .forward, .failed, "nothing was charged", at: time) }
      finish(.pay, .undo, .succeeded, at: time)
    }
    moveOn(at: time)
    updatedAt = time
    history.append(
      Change(event: event.type, state: state.rawValue, timestamp: time, position: event.position))
  }

  subscript(name: ChoreographyStep.Name, direction: ChoreographyStep.Direction)
    -> ChoreographyStep?
  {
    steps.first { $0.name == name && $0.direction == direction }
  }

  private func isOpen(_ name: Name) -> Bool { self[name, .forward]?.status == .requested }

  /// Whose turn it is after the event.
  private mutating func moveOn(at time: Timestamp) {
    if isCancelled {
      undo(at: time)
    } else if code == nil {
      request(.reserve, .forward, at: time)
      if isDone(.reserve) { request(.pay, .forward, at: time) }
      if isDone(.reserve), isDone(.pay) { request(.confirm, .forward, at: time) }
      if isDone(.confirm) { request(.notify, .forward, at: time) }
    }
  }

  private func isDone(_ name: Name) -> Bool { self[name, .forward]?.status == .succeeded }

  private mutating func turnBack(_ code: String, _ reason: String, at time: Timestamp) {
    if self.code == nil { (self.code, self.reason) = (code, reason) }
    request(.place, .undo, at: time)
  }

  private mutating func cancel(_ code: String, _ reason: String, at time: Timestamp) {
    turnBack(code, reason, at: time)
    finish(.place, .undo, .succeeded, at: time)
    let refused: Name? =
      switch code {
      case "RESERVATION_REFUSED", "ALREADY_HELD": .reserve
      case "PAYMENT_REFUSED": .pay
      default: nil
      }
    if let refused, isOpen(refused) { finish(refused, .forward, .refused, reason, at: time) }
    if isOpen(.confirm) {
      finish(.confirm, .forward, .refused, "the order was cancelled", at: time)
    }
    if isOpen(.notify) { finish(.notify, .forward, .notNeeded, at: time) }
  }

  /// Both participants answer a cancellation with an event, also where they have nothing to undo:
  /// then with a tombstone. Only of a payment that has failed for certain nothing more is heard.
  private mutating func undo(at time: Timestamp) {
    if self[.pay, .forward]?.status != .failed { request(.pay, .undo, at: time) }
    request(.reserve, .undo, at: time)
  }

  // MARK: Steps

  /// Once: what has been asked for stays as it is.
  private mutating func request(_ name: Name, _ direction: Direction, at time: Timestamp) {
    guard self[name, direction] == nil else { return }
    steps.append(
      ChoreographyStep(
        name: name, direction: direction, status: .requested, requestedAt: time))
  }

  private mutating func finish(
    _ name: Name, _ direction: Direction, _ status: Status, _ reason: String? = nil,
    at time: Timestamp
  ) {
    var index = steps.count
    if let asked = steps.firstIndex(where: { $0.name == name && $0.direction == direction }) {
      index = asked
    } else {
      steps.append(ChoreographyStep(name: name, direction: direction, status: status))
    }
    steps[index].status = status
    steps[index].finishedAt = time
    steps[index].reason = reason
  }
}
