/// The state of a subscription, without I/O: which events are outstanding, which lane (key) each
/// waits in, and up to where everything is done.
struct SubscriptionWindow: Sendable {
  private struct Slot: Sendable {
    var position: Position
    var isDone: Bool
  }

  private var slots: [Slot] = []
  private var firstSlot = 0
  private var doneThrough: Position
  private var lanes: [String: [Recorded]] = [:]

  /// Everything up to here has been read.
  private(set) var readThrough: Position
  private(set) var outstanding = 0

  init(from position: Position) {
    doneThrough = position
    readThrough = position
  }

  /// Everything up to here is done: where a restart begins.
  var checkpoint: Position { outstanding == 0 ? readThrough : doneThrough }

  /// Takes an event that was read. True when its lane was idle: start working on it.
  mutating func admit(_ event: Recorded, key: String) -> Bool {
    slots.append(Slot(position: event.position, isDone: false))
    outstanding += 1
    if lanes[key] != nil {
      lanes[key]?.append(event)
      return false
    }
    lanes[key] = []
    return true
  }

  mutating func didRead(through position: Position) {
    readThrough = position
  }

  /// Marks an event as done.
  mutating func finish(_ event: Recorded) {
    var low = firstSlot
    var high = slots.count
    while low < high {
      let middle = (low + high) / 2
      if slots[middle].position < event.position { low = middle + 1 } else { high = middle }
    }
    if low < slots.count, slots[low].position == event.position, !slots[low].isDone {
      slots[low].isDone = true
      outstanding -= 1
    }
    while firstSlot < slots.count, slots[firstSlot].isDone {
      doneThrough = slots[firstSlot].position
      firstSlot += 1
    }
    if firstSlot > 1024, firstSlot * 2 > slots.count {
      slots.removeFirst(firstSlot)
      firstSlot = 0
    }
  }

  /// The next event of a lane; nil leaves the lane idle.
  mutating func next(of key: String) -> Recorded? {
    guard var lane = lanes[key], !lane.isEmpty else {
      lanes[key] = nil
      return nil
    }
    let next = lane.removeFirst()
    lanes[key] = lane
    return next
  }
}
