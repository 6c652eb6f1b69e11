import EventSourcing

/// What a world is like: drawn from its seed before it begins.
struct Plan: Sendable {
  /// How often out of 1000 something goes wrong, while faults go on.
  struct Faults: Sendable {
    var appendFails = 0
    var readFails = 0
    /// Something waits before it is done, or before its answer comes.
    var delay = 0
    var delayMax: Duration = .milliseconds(200)
    /// A timer that is due fires minutes later.
    var timerLate = 0
    var dispatchFails = 0
    var dispatchTwice = 0
    var undoRefused = 0
    var deliveredTwice = 0
    /// Old events and old timers come again, at any time.
    var comesAgain = 0
    var messageFails = 0
    var requestRefused = 0
    var requestLost = 0
    /// The provider does it, and the answer is lost, or says that it was not done.
    var answerLost = 0
    /// The provider does it long after everybody has given up waiting.
    var late = 0
  }

  var seed: UInt64
  var processes = 1
  /// Whether one process at a time works on a subscription.
  var hasLeases = true
  /// Whether read models are driven in the world, and timers found in them.
  var hasProjections = false
  var orders = 1
  var products = 1
  var choreographed = 0
  var cancelled = 0
  var paidByHand = 0
  var declined = 0
  var operatorActs = 0
  var paymentDeadlineSeconds: Int64 = 60
  /// Everything takes so long that holds expire.
  var isSlow = false
  var faults = Faults()
  /// The crashes, by the number of the point at which they happen.
  var crashes: Set<Int> = []
  var outages: [Outage] = []
  /// When faults end, in seconds.
  var faultsEnd = 0

  /// The provider is gone for a while.
  struct Outage: Sendable {
    var from: Double
    var to: Double
  }

  init(seed: UInt64) {
    self.seed = seed
    let chance = Chance(seed: seed)
    processes = chance.happens(500) ? 2 : 1
    hasLeases = processes == 1 || chance.happens(500)
    hasProjections = chance.happens(200)
    orders = chance.one(of: [1, 1, 2, 2, 3, 4])
    products = chance.number(in: 1...3)
    choreographed = chance.one(of: [0, 0, 0, 300, 1000])
    cancelled = chance.one(of: [0, 200, 500, 900])
    paidByHand = chance.one(of: [0, 0, 0, 200, 500])
    declined = chance.one(of: [0, 0, 150, 500])
    operatorActs = chance.one(of: [0, 0, 0, 3])
    paymentDeadlineSeconds = Int64(chance.one(of: [5, 20, 60]))
    faultsEnd = chance.one(of: [20, 60, 200])
    faults = Self.faults(chance)
    if chance.happens(80) { slowDown(chance) }
    for _ in 0..<chance.one(of: [0, 1, 1, 2, 4, 8]) {
      crashes.insert(chance.number(in: 0...chance.one(of: [60, 200, 600, 1500])))
    }
    for _ in 0..<chance.one(of: [0, 0, 1, 2]) {
      let from = Double(chance.number(in: 0...faultsEnd))
      outages.append(Outage(from: from, to: from + Double(chance.one(of: [2, 15, 90, 400]))))
    }
  }

  private mutating func slowDown(_ chance: Chance) {
    isSlow = true
    orders = chance.number(in: 2...4)
    products = 1
    paymentDeadlineSeconds = Int64(chance.one(of: [5, 60, 120]))
    faultsEnd = 2000
    faults.delay = chance.one(of: [20, 60, 120])
    faults.delayMax = .seconds(1000)
    faults.timerLate = chance.one(of: [0, 600])
  }

  private static func faults(_ chance: Chance) -> Faults {
    var faults = Faults()
    // Some worlds are peaceful, but for their crashes.
    if chance.happens(150) { return faults }
    let often = chance.one(of: [1, 1, 3, 10])
    func some(_ perMille: Int) -> Int { chance.happens(600) ? perMille * often : 0 }
    faults.appendFails = some(8)
    faults.readFails = some(3)
    faults.delay = some(20)
    faults.delayMax = chance.one(of: [.milliseconds(50), .seconds(2), .seconds(30), .seconds(100)])
    faults.dispatchFails = some(20)
    faults.dispatchTwice = some(20)
    faults.undoRefused = some(20)
    faults.deliveredTwice = some(30)
    faults.comesAgain = some(30)
    faults.messageFails = chance.one(of: [0, 0, 0, 100, 900])
    faults.requestRefused = some(20)
    faults.requestLost = some(20)
    faults.answerLost = some(30)
    faults.late = some(30)
    return faults
  }
}
