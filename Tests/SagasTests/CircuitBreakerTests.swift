import EventSourcing
import Synchronization
import Testing

@testable import Sagas

@Suite("The circuit breaker")
struct CircuitBreakerTests {
  private typealias Pass = CircuitBreakerState.Pass
  private typealias Call = CircuitBreakerState.Call

  private static let start = Timestamp(millisecondsSinceEpoch: 1_000_000)

  private let direct = Pass(isProbe: false, hasWaited: false)
  private let called = Pass(isProbe: false, hasWaited: true)
  private let probe = Pass(isProbe: true, hasWaited: true)

  private func after(_ milliseconds: Int64) -> Timestamp {
    Self.start.adding(milliseconds: milliseconds)
  }

  private func state(requestsMax: Int = 2) -> CircuitBreakerState {
    CircuitBreakerState(limits: .init(requestsMax: requestsMax, refusalsMax: 3))
  }

  /// Open since `start`.
  private func open() -> CircuitBreakerState {
    var state = state()
    for id in 0..<3 {
      #expect(state.enter(id, deadline: nil, at: Self.start) == direct)
      #expect(state.leave(direct, .refused, at: Self.start).isEmpty)
    }
    return state
  }

  // MARK: The state

  @Test("so many are under way; the others wait in line, and nobody overtakes them")
  func bounds() {
    var state = state()
    #expect(
      (1...4).map { state.enter($0, deadline: nil, at: Self.start) } == [direct, direct, nil, nil])
    #expect(state.leave(direct, .reached, at: Self.start) == [Call(id: 3, pass: called)])
    #expect(state.enter(5, deadline: nil, at: Self.start) == nil)
    #expect(state.leave(direct, .unused, at: Self.start) == [Call(id: 4, pass: called)])
    #expect(state.leave(called, .refused, at: Self.start) == [Call(id: 5, pass: called)])
    #expect(state.leave(called, .reached, at: Self.start) == [])
    #expect(state.nextTick == nil)
  }

  @Test("refusals in a row open it, and an answer between them does not")
  func opens() {
    var state = state()
    for answer in [CircuitBreakerState.Answer.refused, .refused, .reached, .refused, .unused] {
      _ = state.enter(0, deadline: nil, at: Self.start)
      _ = state.leave(direct, answer, at: Self.start)
      #expect(!state.isOpen)
    }
    _ = state.enter(0, deadline: nil, at: Self.start)
    _ = state.leave(direct, .refused, at: Self.start)
    _ = state.enter(0, deadline: nil, at: Self.start)
    _ = state.leave(direct, .refused, at: Self.start)
    #expect(state.isOpen)
    // Nobody waits: there is nothing to wait for.
    #expect(state.nextTick == nil)
  }

  @Test("while it is open one goes at a time, after pauses that grow to their bound")
  func probes() {
    var state = open()
    for id in 10..<20 { #expect(state.enter(id, deadline: nil, at: Self.start) == nil) }
    var time: Int64 = 0
    for (turn, pause) in [Int64(500), 1000, 2000, 2000].enumerated() {
      #expect(state.nextTick == after(time + pause))
      #expect(state.tick(at: after(time + pause - 1)) == [])
      time += pause
      #expect(state.tick(at: after(time)) == [Call(id: 10 + turn, pass: probe)])
      #expect(state.nextTick == nil)
      #expect(state.tick(at: after(time + 9000)) == [])
      #expect(state.leave(probe, .refused, at: after(time)) == [])
    }
    #expect(state.tick(at: after(time + 2000)) == [Call(id: 14, pass: probe)])
    #expect(
      state.leave(probe, .reached, at: after(time + 2000))
        == [Call(id: 15, pass: called), Call(id: 16, pass: called)])
    #expect(!state.isOpen)
  }

  @Test("who comes when a probe is due is the probe; a probe that was not made is made by the next")
  func probesAtOnce() {
    var state = open()
    let atOnce = Pass(isProbe: true, hasWaited: false)
    #expect(state.enter(10, deadline: nil, at: after(499)) == nil)
    state.remove(10)
    #expect(state.enter(11, deadline: nil, at: after(500)) == atOnce)
    #expect(state.enter(12, deadline: nil, at: after(500)) == nil)
    #expect(state.leave(atOnce, .unused, at: after(600)) == [])
    #expect(state.nextTick == after(600))
    #expect(state.tick(at: after(600)) == [Call(id: 12, pass: probe)])
  }

  @Test("the end of a request from before it opened closes it, or says nothing")
  func stragglers() {
    var state = state(requestsMax: 5)
    for id in 0..<5 { _ = state.enter(id, deadline: nil, at: Self.start) }
    for _ in 0..<3 { _ = state.leave(direct, .refused, at: Self.start) }
    #expect(state.isOpen)
    _ = state.enter(9, deadline: nil, at: Self.start)
    #expect(state.leave(direct, .refused, at: after(400)) == [])
    #expect(state.nextTick == after(500))
    #expect(state.leave(direct, .reached, at: after(450)) == [Call(id: 9, pass: called)])
  }

  @Test("who has a deadline is told when it is over, whether it is open or closed")
  func deadlines() {
    var state = open()
    _ = state.enter(10, deadline: after(300), at: Self.start)
    _ = state.enter(11, deadline: nil, at: Self.start)
    #expect(state.nextTick == after(300))
    #expect(state.tick(at: after(300)) == [Call(id: 10, pass: nil)])
    #expect(state.nextTick == after(500))

    var closed = self.state()
    for id in 0..<2 { _ = closed.enter(id, deadline: nil, at: Self.start) }
    for id in 2..<5 { _ = closed.enter(id, deadline: after(Int64(id) * 100), at: Self.start) }
    #expect(
      closed.leave(direct, .reached, at: after(300))
        == [Call(id: 2, pass: nil), Call(id: 3, pass: nil), Call(id: 4, pass: called)])
  }

  // MARK: Time and tasks

  private struct Failed: Error {}

  private final class Tally: Sendable {
    struct Counts {
      var sleeps = 0
      /// Requests that found nobody.
      var refused = 0
      var underWay = 0
      var most = 0
    }

    let counts = Mutex(Counts())

    func change(_ body: (inout Counts) -> Void) { counts.withLock { body(&$0) } }
    var now: Counts { counts.withLock(\.self) }
  }

  @Test("a thousand that wait for a dead service cost it a probe now and then, and all end in time")
  func manyWait() async throws {
    let time = FakeTime(Self.start)
    let tally = Tally()
    let breaker = CircuitBreaker(
      clock: ReactorClock(
        now: { time.now },
        sleep: { duration in
          tally.change { $0.sleeps += 1 }
          try await time.clock.sleep(duration)
        }))
    let deadline = after(60_000)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<1000 {
        group.addTask {
          while true {
            do {
              let outcome: Int? = try await breaker.request(before: deadline) { _ in
                tally.change { $0.refused += 1 }
                throw PaymentGatewayError.notSent("connection refused")
              }
              #expect(outcome == nil)
              return
            } catch PaymentGatewayError.notSent {}
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(time.now >= deadline)
    #expect(time.now < deadline.adding(seconds: 3))
    #expect(tally.now.refused <= 64 + 33)
    #expect(tally.now.sleeps <= 40)
  }

  @Test("when the service is back all go on, so many at a time")
  func goesOn() async throws {
    let time = FakeTime(Self.start)
    let breaker = CircuitBreaker(clock: time.clock)
    let tally = Tally()
    let isBack = after(10_000)
    let done = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<1000 {
        group.addTask {
          while true {
            do {
              return try await breaker.request(before: nil) { _ in
                guard time.now >= isBack else {
                  tally.change { $0.refused += 1 }
                  throw PaymentGatewayError.notSent("connection refused")
                }
                tally.change {
                  $0.underWay += 1
                  $0.most = max($0.most, $0.underWay)
                }
                try await Task.sleep(for: .milliseconds(2))
                tally.change { $0.underWay -= 1 }
                return 1
              } ?? 0
            } catch PaymentGatewayError.notSent {}
          }
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(done == 1000)
    #expect(tally.now.most <= 64)
    #expect(tally.now.refused <= 64 + 8)
  }

  @Test("who is cancelled while waiting is out of the line at once")
  func cancels() async throws {
    let time = FakeTime(Self.start)
    // It opens, and its pauses last for ever.
    let breaker = CircuitBreaker(
      clock: ReactorClock(
        now: { time.now }, sleep: { _ in try await Task.sleep(for: .seconds(3600)) }))
    for _ in 0..<5 {
      await #expect(throws: PaymentGatewayError.self) {
        try await breaker.request(before: nil) { _ -> Int in
          throw PaymentGatewayError.notSent("connection refused")
        }
      }
    }
    #expect(breaker.isOpen)
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<200 {
        group.addTask {
          await #expect(throws: CancellationError.self) {
            try await breaker.request(before: nil) { _ in 1 }
          }
        }
        if number == 100 { group.cancelAll() }
      }
    }
  }

  @Test("an error that is none of the service's leaves it as it was")
  func otherErrors() async throws {
    let breaker = CircuitBreaker(clock: FakeTime(Self.start).clock)
    for _ in 0..<100 {
      await #expect(throws: Failed.self) {
        try await breaker.request(before: nil) { _ -> Int in throw Failed() }
      }
    }
    #expect(!breaker.isOpen)
  }
}
